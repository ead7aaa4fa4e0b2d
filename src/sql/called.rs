//! The functions that a text may call, without a parse of it: comments and literals are not told apart.

/// Words that stand before a parenthesis, in lower case.
pub fn called(text: &[u8]) -> impl Iterator<Item = String> {
    words(text).filter_map(|(end, word)| {
        let behind = text.get(end..)?.iter().find(|byte| !byte.is_ascii_whitespace() && **byte != b'"');
        (behind == Some(&b'(')).then(|| String::from_utf8_lossy(word).to_lowercase())
    })
}

/// Runs of letters, digits and underscores, each with its end.
pub fn words(text: &[u8]) -> impl Iterator<Item = (usize, &[u8])> {
    let mut at = 0;
    text.split(|byte| !byte.is_ascii_alphanumeric() && *byte != b'_' && byte.is_ascii()).filter_map(
        move |word| {
            let end = at + word.len();
            at = end + 1;
            (!word.is_empty()).then_some((end, word))
        },
    )
}
