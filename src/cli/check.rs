//! `lockkeeper check`: a review of SQL files, before anybody runs them.

use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::ValueEnum;

use crate::config;
use crate::effects::facts::{Offline, Source};
use crate::hazard::{self, HazardSetting};
use crate::judge::Policy;
use crate::judge::policy::Allowance;
use crate::review::report::{Basis, FileReport, Report};
use crate::review::{Deny, Options, lint, render, review};

use super::{database, sources};

/// Something could not be read: `1` is for findings.
pub(super) const UNREADABLE: u8 = 2;

/// Arguments of `lockkeeper check`.
#[expect(clippy::struct_excessive_bools, reason = "switches of the command line")]
#[derive(Debug, clap::Args)]
pub(super) struct CheckArgs {
    /// SQL files, folders of them, or `-` for standard input.
    #[arg(value_name = "FILE", required_unless_present = "list")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    basis: BasisArgs,
    /// The form of the report.
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Fail on findings of that level and above (pass, warn, plan, hold, refuse), or on a hazard by its id; may be repeated.
    #[arg(long, value_name = "LEVEL|HAZARD")]
    deny: Vec<String>,
    /// Let a hazard pass; may be repeated.
    #[arg(long, value_name = "HAZARD")]
    allow: Vec<String>,
    /// Each file runs inside one transaction of its tool.
    #[arg(long)]
    assume_in_transaction: bool,
    /// List the statements too that lock only for a moment.
    #[arg(long, short)]
    verbose: bool,
    /// Print every hazard with its default and exit.
    #[arg(long)]
    list: bool,
}

/// What a review rests on.
#[derive(Debug, clap::Args)]
pub(super) struct BasisArgs {
    /// The major version that is assumed; with --url the server's own counts.
    #[arg(long, value_name = "MAJOR", default_value_t = 18, value_parser = clap::value_parser!(u32).range(13..=18))]
    pub(super) pg_version: u32,
    /// A database to ask for sizes and definitions, `postgres://user@host/database?sslmode=verify-full` or whatever else
    /// psql takes. Nothing is changed there. Better give the password by `PGPASSWORD` or the password file.
    #[arg(long)]
    pub(super) url: Option<String>,
    /// The configuration file, for settings of hazards; without it everything has its default.
    #[arg(long, short, value_name = "FILE", env = "LOCKKEEPER_CONFIG")]
    pub(super) config: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
    /// SARIF 2.1.0.
    Sarif,
    /// Workflow commands of GitHub Actions.
    Github,
    /// XML as `JUnit` writes it.
    Junit,
}

/// Reviews; 0 is clean, 1 that something denied was found, 2 that something could not be read.
pub(super) fn run(args: &CheckArgs) -> anyhow::Result<ExitCode> {
    if args.list {
        return list(args.format);
    }
    match report(args) {
        Ok((report, unread)) => {
            let told = if report.files.is_empty() { String::new() } else { rendered(&report, args)? };
            match write!(std::io::stdout().lock(), "{told}") {
                // Whoever reads has seen enough, as `| head` has; the review ends as it would.
                Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
                written => written?,
            }
            for problem in &unread {
                writeln!(std::io::stderr().lock(), "lockkeeper: {problem:#}")?;
            }
            let whole = unread.is_empty() && !report.is_unread();
            Ok(ExitCode::from(if whole { u8::from(report.is_denied()) } else { UNREADABLE }))
        }
        Err(error) => {
            writeln!(std::io::stderr().lock(), "lockkeeper: {error:#}")?;
            Ok(ExitCode::from(UNREADABLE))
        }
    }
}

/// The review of what can be read, and why the rest cannot.
fn report(args: &CheckArgs) -> anyhow::Result<(Report, Vec<anyhow::Error>)> {
    let options = options(args)?;
    let (mut texts, mut unread) = (Vec::new(), Vec::new());
    for file in &args.files {
        read(file, &mut texts).unwrap_or_else(|problem| unread.push(problem));
    }
    let report = on_this_thread(async {
        if let Some(url) = &args.basis.url {
            let mut live = database::connect(url).await?;
            let basis = Basis { server_version: live.inner().server_version(), live: true };
            let files =
                reviewed(&texts, &mut live, &options).await.context("the server refused to answer")?;
            return Ok(Report { basis, files });
        }
        let mut offline = Offline { server_version: args.basis.pg_version * 10_000 };
        let basis = Basis { server_version: offline.server_version, live: false };
        Ok(Report { basis, files: reviewed(&texts, &mut offline, &options).await? })
    })?;
    Ok((report, unread))
}

/// Runs what may wait for a server.
pub(super) fn on_this_thread<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}

async fn reviewed<S: Source>(
    texts: &[(String, String)],
    source: &mut S,
    options: &Options,
) -> Result<Vec<FileReport>, S::Trouble> {
    let mut files = Vec::new();
    for (name, text) in texts {
        files.push(review(name, text, source, options).await?);
    }
    Ok(files)
}

/// The configuration's policy, with what the command line says on top.
fn options(args: &CheckArgs) -> anyhow::Result<Options> {
    let mut policy = policy(&args.basis)?;
    let levels = |word: &str| word.parse::<HazardSetting>().is_ok();
    for id in args.allow.iter().chain(args.deny.iter().filter(|word| !levels(word))) {
        if !lint::ids().any(|known| known == id.as_str()) {
            let near = config::suggest::nearest(id, lint::ids());
            let hint = near.map_or_else(
                || "lockkeeper check --list shows every hazard".to_owned(),
                |near| format!("did you mean {near:?}?"),
            );
            anyhow::bail!("there is no hazard {id:?}; {hint}");
        }
    }
    let reason = || "--allow".to_owned();
    policy.allow.extend(args.allow.iter().map(|id| Allowance { hazard: id.clone(), reason: reason() }));
    Ok(Options { policy, deny: Deny::of(&args.deny), assume_in_transaction: args.assume_in_transaction })
}

/// What holds where no rule of the configuration says otherwise.
pub(super) fn policy(basis: &BasisArgs) -> anyhow::Result<Policy> {
    let loaded = config::load(&sources::of_file(basis.config.clone()))?;
    Ok(loaded.settings.sessions.rules.default.clone())
}

/// Adds the texts of a file, of all files below a folder, or of standard input, each with its name.
fn read(file: &Path, texts: &mut Vec<(String, String)>) -> anyhow::Result<()> {
    if file.as_os_str() == "-" {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes).context("cannot read standard input")?;
        texts.push(("-".to_owned(), text(&bytes).context("cannot read standard input")?));
        return Ok(());
    }
    let found = below(file)?;
    if found.is_empty() {
        anyhow::bail!("there is no *.sql file below {}: nothing was reviewed", file.display());
    }
    for path in found {
        let unreadable = || format!("cannot read {}", path.display());
        let bytes = std::fs::read(&path).with_context(unreadable)?;
        texts.push((path.display().to_string(), text(&bytes).with_context(unreadable)?));
    }
    Ok(())
}

/// Without the mark that some editors put first. Bytes of older encodings stand in comments and literals mostly, so they
/// are replaced; of UTF-16 nothing would be left.
fn text(bytes: &[u8]) -> anyhow::Result<String> {
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        anyhow::bail!("it is written in UTF-16; convert it, as by iconv -f UTF-16 -t UTF-8");
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    Ok(String::from_utf8_lossy(bytes).into_owned())
}

/// A file itself, or every `*.sql` below a folder in the order of their names.
fn below(path: &Path) -> anyhow::Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut entries: Vec<PathBuf> =
        entries.map(|entry| entry.map(|entry| entry.path())).collect::<Result<_, _>>()?;
    entries.sort();
    let mut files = Vec::new();
    for entry in entries {
        if entry.is_dir() {
            files.extend(below(&entry)?);
        } else if entry.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("sql")) {
            files.push(entry);
        }
    }
    Ok(files)
}

fn rendered(report: &Report, args: &CheckArgs) -> anyhow::Result<String> {
    let pretty = |value: serde_json::Value| serde_json::to_string_pretty(&value).map(|text| text + "\n");
    Ok(match args.format {
        Format::Text => {
            let coloured = std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none();
            let style = if coloured { render::Style::Coloured } else { render::Style::Plain };
            render::text(report, style, args.verbose)
        }
        Format::Json => pretty(render::json(report))?,
        Format::Sarif => pretty(render::sarif(report))?,
        Format::Github => render::github(report),
        Format::Junit => render::junit(report),
    })
}

/// Every hazard, and every flaw of files, with what becomes of it by default.
fn list(format: Format) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if format == Format::Json {
        let hazard = |it: &hazard::Hazard| serde_json::json!({ "id": it.id, "default": it.default.word(), "since": it.since, "what": lint::summary(it.page) });
        let flaw = |it: &lint::Lint| serde_json::json!({ "id": it.id, "default": it.default(), "since": null, "what": lint::summary(it.page) });
        let all: Vec<_> = hazard::ALL.iter().map(hazard).chain(lint::LINTS.iter().map(flaw)).collect();
        writeln!(out, "{}", serde_json::to_string_pretty(&all)?)?;
        return Ok(ExitCode::SUCCESS);
    }
    for hazard in hazard::ALL {
        writeln!(out, "{:28} {:7} {}", hazard.id, hazard.default.word(), lint::summary(hazard.page))?;
    }
    for flaw in &lint::LINTS {
        writeln!(out, "{:28} {:7} {}", flaw.id, flaw.default(), lint::summary(flaw.page))?;
    }
    Ok(ExitCode::SUCCESS)
}
