//! Back-off: how long to wait before the next restart.

use std::time::Duration;

use crate::RestartPolicy;

/// `min(backoff × factor^streak, backoff_max)`, varied by `jitter`.
///
/// `streak` restarts went before this one; `noise` is a random number from -1.0 to 1.0. Values out of
/// their bounds are taken as the nearest bound, so that no policy can make this panic.
pub(crate) fn delay(policy: &RestartPolicy, streak: u32, noise: f64) -> Duration {
    let factor = policy.backoff_factor.max(1.0); // NaN becomes 1.0
    let exponent = i32::try_from(streak).unwrap_or(i32::MAX);
    let cap = policy.backoff_max.as_secs_f64();
    let grown = policy.backoff.as_secs_f64() * factor.powi(exponent);
    // 0 × infinity is NaN, and `min` then gives the cap: no back-off stays no back-off.
    let plain = if policy.backoff.is_zero() {
        0.0
    } else {
        grown.min(cap)
    };
    vary(plain, policy.jitter, noise)
}

/// Varies a time by a part of itself, both ways.
pub(crate) fn vary(seconds: f64, jitter: f64, noise: f64) -> Duration {
    let jitter = if jitter.is_nan() {
        0.0
    } else {
        jitter.clamp(0.0, 1.0)
    };
    Duration::try_from_secs_f64(seconds * (1.0 + jitter * noise)).unwrap_or(Duration::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn policy(backoff: f64, factor: f64, max: f64, jitter: f64) -> RestartPolicy {
        RestartPolicy {
            backoff: Duration::from_secs_f64(backoff),
            backoff_factor: factor,
            backoff_max: Duration::from_secs_f64(max),
            jitter,
            ..RestartPolicy::default()
        }
    }

    fn curve(policy: &RestartPolicy, count: u32) -> Vec<f64> {
        (0..count)
            .map(|streak| delay(policy, streak, 0.0).as_secs_f64())
            .collect()
    }

    #[test]
    fn published_curves_hold() {
        for (name, policy, delays) in [
            (
                "our default",
                policy(1.0, 2.0, 60.0, 0.1),
                vec![1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0],
            ),
            // The kubelet's restarts come at 10, 30, 70, 150, 310 s: 10, 20, 40, 80, 160 after each other.
            (
                "kubelet",
                policy(10.0, 2.0, 300.0, 0.0),
                vec![10.0, 20.0, 40.0, 80.0, 160.0, 300.0, 300.0],
            ),
            (
                "pebble",
                policy(0.5, 2.0, 30.0, 0.1),
                vec![0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 30.0, 30.0],
            ),
            ("constant", policy(3.0, 1.0, 60.0, 0.0), vec![3.0, 3.0, 3.0]),
            (
                "cap below base",
                policy(10.0, 2.0, 5.0, 0.0),
                vec![5.0, 5.0],
            ),
            ("none", policy(0.0, 2.0, 60.0, 1.0), vec![0.0, 0.0, 0.0]),
        ] {
            let count = u32::try_from(delays.len()).expect("few");
            assert_eq!(curve(&policy, count), delays, "{name}");
        }
    }

    #[test]
    fn senseless_values_are_taken_as_the_nearest_bound() {
        assert_eq!(curve(&policy(2.0, f64::NAN, 60.0, 0.0), 3), [2.0, 2.0, 2.0]);
        assert_eq!(curve(&policy(2.0, 0.5, 60.0, 0.0), 2), [2.0, 2.0]);
        assert_eq!(
            delay(&policy(2.0, 1.0, 60.0, f64::NAN), 0, 1.0).as_secs(),
            2
        );
        assert_eq!(delay(&policy(2.0, 1.0, 60.0, 9.0), 0, 1.0).as_secs(), 4);
        assert_eq!(
            delay(&policy(0.0, f64::INFINITY, 60.0, 0.0), u32::MAX, 0.0),
            Duration::ZERO
        );
        let longest = RestartPolicy {
            backoff: Duration::MAX,
            backoff_max: Duration::MAX,
            ..RestartPolicy::default()
        };
        assert_eq!(delay(&longest, u32::MAX, 1.0), Duration::MAX);
    }

    proptest! {
        #[test]
        fn delay_lies_within_jitter_of_the_capped_curve(
            base in 0.001_f64..100.0, factor in 1.0_f64..10.0, max in 0.001_f64..1000.0,
            jitter in 0.0_f64..=1.0, streak in 0_u32..2000, noise in -1.0_f64..=1.0,
        ) {
            let policy = policy(base, factor, max, jitter);
            let plain = (base * factor.powf(f64::from(streak))).min(max);
            let delay = delay(&policy, streak, noise).as_secs_f64();
            prop_assert!(delay >= plain * (1.0 - jitter) - 1e-6, "{delay} {plain}");
            prop_assert!(delay <= plain * (1.0 + jitter) + 1e-6, "{delay} {plain}");
        }

        #[test]
        fn delay_never_shrinks_along_a_streak(
            base in 0.0_f64..100.0, factor in 1.0_f64..10.0, max in 0.0_f64..1000.0,
        ) {
            let delays = curve(&policy(base, factor, max, 0.5), 40);
            prop_assert!(delays.windows(2).all(|pair| pair[0] <= pair[1]), "{delays:?}");
        }
    }
}
