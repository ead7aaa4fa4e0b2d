//! What the writer may have meant.

/// Below this likeness a suggestion misleads more often than it helps.
const LIKENESS_MIN: f64 = 0.7;

/// The known word nearest to what was written, if one is near at all.
pub fn nearest<'a>(written: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    nearest_above(LIKENESS_MIN, written, known)
}

/// The same with another measure of what is near, from 0 to 1.
pub(super) fn nearest_above<'a>(
    likeness_min: f64,
    written: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let written = written.to_ascii_lowercase();
    known
        .into_iter()
        .map(|word| (strsim::normalized_damerau_levenshtein(&written, word), word))
        .map(|(likeness, word)| (likeness.max(prefix_likeness(&written, word)), word))
        .filter(|(likeness, _)| *likeness >= likeness_min)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, word)| word)
}

/// `address` for `addresses`, `cert_file` for `cert`: one begins with the other.
fn prefix_likeness(written: &str, word: &str) -> f64 {
    let begins = word.starts_with(written) || written.starts_with(word);
    if begins && written.len().min(word.len()) >= 3 { LIKENESS_MIN } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn finds_slips_and_beginnings() {
        let known = ["addresses", "port", "backlog", "connect_timeout"];
        assert_eq!(nearest("adresses", known), Some("addresses"));
        assert_eq!(nearest("prot", known), Some("port"));
        assert_eq!(nearest("connect", known), Some("connect_timeout"));
        assert_eq!(nearest("Connect-Timeout", known), Some("connect_timeout"));
        assert_eq!(nearest("nonsense", known), None);
        assert_eq!(nearest("", known), None);
    }
}
