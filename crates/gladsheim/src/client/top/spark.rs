//! Lines made of small bars. Pure.

const BARS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The last `room` samples as bars, the highest of which is `top`, or the highest sample if that is higher.
pub(super) fn spark<'a>(
    samples: impl DoubleEndedIterator<Item = &'a f64> + Clone,
    top: f64,
    room: usize,
) -> String {
    let last = samples.rev().take(room);
    let top = last.clone().fold(top, |top, sample| top.max(*sample));
    let bars: Vec<char> = last.map(|sample| bar(*sample, top)).collect();
    let bars: String = bars.into_iter().rev().collect();
    format!("{bars:>room$}")
}

/// Nothing is a blank, and something is always seen.
fn bar(sample: f64, top: f64) -> char {
    if sample <= 0.0 || top <= 0.0 {
        return ' ';
    }
    // Between 0 and the number of bars, whatever the samples are.
    let level = (sample / top * BARS.len() as f64).ceil() as usize;
    BARS[level.clamp(1, BARS.len()) - 1]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_are_relative_to_the_top_and_flush_right() {
        let samples = [0.0, 1.0, 4.0, 8.0];
        assert_eq!(spark(samples.iter(), 0.0, 6), "   ▁▄█");
        assert_eq!(spark(samples.iter(), 16.0, 6), "   ▁▂▄");
        assert_eq!(spark(samples.iter(), 0.0, 2), "▄█");
        assert_eq!(
            spark([f64::NAN, f64::INFINITY].iter(), 0.0, 2)
                .chars()
                .count(),
            2
        );
        assert_eq!(spark([].iter(), 0.0, 3), "   ");
    }
}
