//! Figures as people say them.

/// Octets as people say them: `812 B`, `1.2 KiB`.
pub(crate) fn octets(octets: u64) -> String {
    let (mut amount, mut unit) = (octets as f64, "B");
    for larger in ["KiB", "MiB", "GiB", "TiB"] {
        if amount < 1024.0 {
            break;
        }
        (amount, unit) = (amount / 1024.0, larger);
    }
    if unit == "B" { format!("{octets} B") } else { format!("{amount:.1} {unit}") }
}

/// Seconds as people say them: `0.3 s`, `14 min`, `3.2 h`, `9.1 d`.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        ..10.0 => format!("{seconds:.1} s"),
        ..120.0 => format!("{seconds:.0} s"),
        ..7200.0 => format!("{:.0} min", seconds / 60.0),
        ..172_800.0 => format!("{:.1} h", seconds / 3600.0),
        _ => format!("{:.1} d", seconds / 86_400.0),
    }
}

/// The same, where there may be none.
pub(crate) fn duration_or_none(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "-".to_owned(), duration)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_said_as_people_do() {
        assert_eq!([octets(812), octets(1229), octets(64 << 20)], ["812 B", "1.2 KiB", "64.0 MiB"]);
        let said = [0.31, 14.0 * 60.0, 11_600.0, 800_000.0].map(duration);
        assert_eq!(said, ["0.3 s", "14 min", "3.2 h", "9.3 d"]);
    }
}
