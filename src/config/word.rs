//! Values that are one of a few words.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::suggest;
use super::value::Setting;

/// An enum, its words in configuration, and all that follows from them.
macro_rules! words {
    ($($(#[$meta:meta])* $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $word:literal),+ $(,)? })+) => {$(
        $(#[$meta])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$variant_meta])* $variant),+
        }

        impl $name {
            /// The words, as written in the file.
            pub const WORDS: &'static [&'static str] = &[$($word),+];
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(text: &str) -> Result<Self, String> {
                $(if text.eq_ignore_ascii_case($word) {
                    return Ok(Self::$variant);
                })+
                Err(not_a_word(text, Self::WORDS))
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(match self { $(Self::$variant => $word),+ })
            }
        }

        impl Setting for $name {
            type Scalar = Self;

            fn allowed() -> String {
                one_of(Self::WORDS)
            }

            fn from_text(text: &str) -> Result<Self, String> {
                text.trim().parse()
            }

            fn text(&self) -> String {
                self.to_string()
            }

            fn within(&self, range: &RangeInclusive<Self>) -> bool {
                range.contains(self)
            }
        }
    )+};
}

words! {
    /// TLS towards clients.
    ClientSslMode {
        /// TLS is not offered.
        Disable = "disable",
        /// TLS is offered, plain text is served too.
        Allow = "allow",
        /// Plain text is refused.
        Require = "require",
        /// Clients show a certificate of `client_ca`.
        VerifyCa = "verify-ca",
        /// Its name must be the user's too.
        VerifyFull = "verify-full",
    }

    /// TLS towards Postgres, in libpq's words.
    UpstreamSslMode {
        /// Plain text only.
        Disable = "disable",
        /// Plain text first.
        Allow = "allow",
        /// TLS first.
        Prefer = "prefer",
        /// TLS, whoever answers.
        Require = "require",
        /// TLS with a certificate of the root store.
        VerifyCa = "verify-ca",
        /// The certificate's name must be the host's too.
        VerifyFull = "verify-full",
    }

    /// How TLS towards Postgres begins.
    SslNegotiation {
        /// By an `SSLRequest`.
        Postgres = "postgres",
        /// At once, Postgres 17 and later.
        Direct = "direct",
    }

    /// Which of several hosts will do, in libpq's words.
    TargetSessionAttrs {
        /// The first that answers.
        Any = "any",
        /// One that accepts writes.
        ReadWrite = "read-write",
        /// One that does not.
        ReadOnly = "read-only",
        /// One that is not in recovery.
        Primary = "primary",
        /// One that is in recovery.
        Standby = "standby",
        /// One in recovery if there is any.
        PreferStandby = "prefer-standby",
    }

    /// How much the proxy may do.
    ModeWord {
        /// Change what is unsafe.
        Enforce = "enforce",
        /// Change nothing, say what would have been done.
        Observe = "observe",
        /// Be a wire.
        Off = "off",
    }

    /// What becomes of long work in an open transaction.
    InTransactionWord {
        /// It is done behind the COMMIT.
        Defer = "defer",
        /// An error.
        Refuse = "refuse",
        /// It runs as sent, with a WARNING.
        Warn = "warn",
    }

    /// When a COMMIT with deferred work behind it is answered.
    DeferredWord {
        /// When the work is done.
        Wait = "wait",
        /// At once.
        Background = "background",
    }

    /// What becomes of work while something holds it back.
    TreatmentWord {
        /// It waits.
        Hold = "hold",
        /// An error.
        Refuse = "refuse",
        /// It is done, with a WARNING.
        Warn = "warn",
    }

    /// What becomes of batches while a standby is missing.
    MissingWord {
        /// They wait.
        Hold = "hold",
        /// They go on.
        Ignore = "ignore",
    }

    /// What becomes of a statement in batches whose client leaves.
    AloneWord {
        /// A proxy goes on with it.
        GoOn = "go_on",
        /// It stops behind its batch.
        Stop = "stop",
    }

    /// What becomes of statements that are too long to be read.
    Oversize {
        /// They are refused.
        Refuse = "refuse",
        /// They are sent on unread.
        Pass = "pass",
    }

    /// Whether what is missing is installed.
    InstallWord {
        /// At first need.
        Auto = "auto",
        /// Never.
        Off = "off",
    }

    /// How log lines look.
    LogFormat {
        /// For people.
        Text = "text",
        /// One JSON object a line.
        Json = "json",
    }
}

/// `one of "a", "b", "c"`.
fn one_of(words: &[&str]) -> String {
    let quoted: Vec<_> = words.iter().map(|word| format!("{word:?}")).collect();
    format!("one of {}", quoted.join(", "))
}

fn not_a_word(text: &str, words: &[&'static str]) -> String {
    let near = suggest::nearest(text, words.iter().copied())
        .map(|word| format!("; did you mean {word:?}?"))
        .unwrap_or_default();
    format!("expected {}{near}", one_of(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_round_trip() {
        for word in TargetSessionAttrs::WORDS {
            assert_eq!(word.parse::<TargetSessionAttrs>().expect("a word of its own").to_string(), *word);
        }
        assert_eq!("VERIFY-FULL".parse(), Ok(ClientSslMode::VerifyFull));
    }

    #[test]
    fn a_near_word_is_suggested() {
        assert_eq!(
            "enforced".parse::<ModeWord>(),
            Err(r#"expected one of "enforce", "observe", "off"; did you mean "enforce"?"#.into())
        );
        assert_eq!("x".parse::<Oversize>(), Err(r#"expected one of "refuse", "pass""#.into()));
    }
}
