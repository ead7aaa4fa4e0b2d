//! Connection strings taken apart, so that a parameter can be taken out of one.
//!
//! Source: the manual, "Connection Strings"; `conninfo_parse` in `fe-connect.c`.

/// The parameters of a connection string, each with its text as written.
pub(super) struct Read {
    /// Of a URL: what stands before the `?`.
    url: Option<String>,
    parameters: Vec<Parameter>,
}

struct Parameter {
    key: String,
    value: String,
    written: String,
}

/// Takes a string apart; `None` for what is neither form.
pub(super) fn read(text: &str) -> Option<Read> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return url(text);
    }
    let mut parameters = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let (parameter, after) = pair(rest)?;
        parameters.push(parameter);
        rest = after.trim_start();
    }
    Some(Read { url: None, parameters })
}

impl Read {
    /// The names of the parameters that are left.
    pub(super) fn keys(&self) -> impl Iterator<Item = &str> {
        self.parameters.iter().map(|parameter| parameter.key.as_str())
    }

    /// Whether a parameter is left.
    pub(super) fn says(&self, key: &str) -> bool {
        self.keys().any(|known| known == key)
    }

    /// Takes a parameter out; the last one counts.
    pub(super) fn take(&mut self, key: &str) -> Option<String> {
        let (taken, left) = self.parameters.drain(..).partition(|parameter| parameter.key == key);
        self.parameters = left;
        let taken: Vec<Parameter> = taken;
        taken.into_iter().next_back().map(|parameter| parameter.value)
    }

    /// The string without what was taken out.
    pub(super) fn rest(&self) -> String {
        let written: Vec<&str> = self.parameters.iter().map(|parameter| parameter.written.as_str()).collect();
        match &self.url {
            Some(url) if written.is_empty() => url.clone(),
            Some(url) => format!("{url}?{}", written.join("&")),
            None => written.join(" "),
        }
    }
}

fn url(text: &str) -> Option<Read> {
    let (base, query) = text.split_once('?').unwrap_or((text, ""));
    let parameter = |written: &str| {
        let (key, value) = written.split_once('=')?;
        Some(Parameter { key: decoded(key)?, value: decoded(value)?, written: written.to_owned() })
    };
    let written = query.split('&').filter(|written| !written.is_empty());
    Some(Read { url: Some(base.to_owned()), parameters: written.map(parameter).collect::<Option<_>>()? })
}

/// `%41` is `A`.
fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'%' {
            bytes.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        bytes.push(digit(rest.next()?)? << 4 | digit(rest.next()?)?);
    }
    String::from_utf8(bytes).ok()
}

/// `key = 'value'`, and what follows it.
fn pair(text: &str) -> Option<(Parameter, &str)> {
    let (key, after) = text.split_once('=')?;
    let key = key.trim_end();
    if key.is_empty() || key.contains(char::is_whitespace) {
        return None;
    }
    let after = after.trim_start();
    let quoted = after.starts_with('\'');
    let mut value = String::new();
    let mut chars = after.char_indices().skip(usize::from(quoted));
    let mut end = after.len();
    let mut closed = !quoted;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => value.extend(chars.next().map(|(_, c)| c)),
            '\'' if quoted => {
                (end, closed) = (at + 1, true);
                break;
            }
            c if !quoted && c.is_whitespace() => {
                end = at;
                break;
            }
            c => value.push(c),
        }
    }
    let (written, rest) = closed.then(|| after.split_at_checked(end)).flatten()?;
    Some((Parameter { key: key.to_owned(), value, written: format!("{key}={written}") }, rest))
}
