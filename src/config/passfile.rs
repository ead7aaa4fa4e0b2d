//! libpq's password file.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

/// `PGPASSWORD`, or what the password file says for host, port, database and user.
pub(super) fn password(
    environment: &BTreeMap<String, String>,
    file: Option<&str>,
    wanted: [&str; 4],
) -> Result<Option<String>, String> {
    let variable = |name: &str| environment.get(name).filter(|value| !value.is_empty());
    if let Some(password) = variable("PGPASSWORD") {
        return Ok(Some(password.clone()));
    }
    let path = file.or_else(|| variable("PGPASSFILE").map(String::as_str)).map(PathBuf::from);
    let path = path.or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".pgpass")));
    let Some(path) = path else { return Ok(None) };
    let Some(found) = fs::read_to_string(&path).ok().and_then(|file| line(&file, wanted)) else {
        return Ok(None);
    };
    // libpq leaves such a file alone with a warning, and then fails for want of a password.
    if fs::metadata(&path).is_ok_and(|file| file.permissions().mode() & 0o077 != 0) {
        return Err(format!("others can read the password file {}: chmod 0600 it", path.display()));
    }
    Ok(Some(found))
}

/// The password of the first line that fits: `host:port:database:user:password`, `*` for any, `\` before `:` and `\`.
///
/// Source: the manual, "The Password File".
fn line(file: &str, wanted: [&str; 4]) -> Option<String> {
    file.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = vec![String::new()];
        let mut chars = line.chars();
        while let Some(c) = chars.next() {
            match c {
                ':' if fields.len() < 5 => fields.push(String::new()),
                '\\' => fields.last_mut()?.extend(chars.next()),
                c => fields.last_mut()?.push(c),
            }
        }
        let password = fields.pop()?;
        let fits = fields.len() == 4
            && fields.iter().zip(wanted).all(|(field, wanted)| field == "*" || field == wanted);
        fits.then_some(password)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_fits() {
        let file = "# comment\nother:5432:*:ann:no\ndb:5432:*:ann:a\\:b\\\\c\n*:*:*:*:last\nbroken";
        assert_eq!(line(file, ["db", "5432", "shop", "ann"]).as_deref(), Some("a:b\\c"));
        assert_eq!(line(file, ["db", "5432", "shop", "bob"]).as_deref(), Some("last"));
        assert_eq!(line("broken\n", ["db", "5432", "shop", "bob"]), None);
    }

    #[test]
    fn a_file_that_others_can_read_is_not_used() {
        let folder = tempfile::TempDir::new().unwrap();
        let path = folder.path().join("passwords");
        fs::write(&path, "db:5432:shop:ann:secret").unwrap();
        let path = path.to_str().unwrap();
        let environment = BTreeMap::new();
        let wanted = ["db", "5432", "shop", "ann"];
        for (mode, expected) in [(0o600, Ok(Some("secret".to_owned()))), (0o640, Err(())), (0o604, Err(()))] {
            fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
            let found = password(&environment, Some(path), wanted);
            assert!(!found.as_ref().is_err_and(|why| why.contains("secret") || !why.contains("chmod 0600")));
            assert_eq!(found.map_err(|_| ()), expected, "{mode:o}");
        }
        // No line of it is wanted, so that nobody is bothered.
        assert_eq!(password(&environment, Some(path), ["other", "5432", "shop", "ann"]), Ok(None));
    }
}
