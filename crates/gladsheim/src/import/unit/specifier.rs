//! `%i` and its like.

/// The value with the specifiers replaced that do not depend on the machine; the others stay as they are.
pub(super) fn expand(value: &str, name: &str) -> String {
    let (prefix, instance) = name.split_once('@').unwrap_or((name, ""));
    let full = format!("{name}.service");
    let mut out = String::new();
    let mut rest = value;
    while let Some((before, tail)) = rest.split_once('%') {
        out.push_str(before);
        let Some(letter) = tail.chars().next() else {
            out.push('%');
            rest = "";
            break;
        };
        match letter {
            '%' => out.push('%'),
            'n' => out.push_str(&full),
            'N' => out.push_str(name),
            'p' | 'P' => out.push_str(prefix),
            'i' | 'I' => out.push_str(instance),
            't' => out.push_str("/run"),
            'S' => out.push_str("/var/lib"),
            'C' => out.push_str("/var/cache"),
            'L' => out.push_str("/var/log"),
            'E' => out.push_str("/etc"),
            'T' => out.push_str("/tmp"),
            'V' => out.push_str("/var/tmp"),
            _ => {
                out.push('%');
                out.push(letter);
            }
        }
        rest = &tail[letter.len_utf8()..];
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::expand;

    #[test]
    fn an_instance_is_filled_in() {
        assert_eq!(
            expand("/run/%p/%i 100%% %n", "web@blue"),
            "/run/web/blue 100% web@blue.service"
        );
        assert_eq!(expand("%t/x %H %", "web"), "/run/x %H %");
    }
}
