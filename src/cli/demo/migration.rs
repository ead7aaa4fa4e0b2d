//! A real Alembic project and the Python to run it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use super::story::Teller;
use crate::traffic::proxy::without_variables;

/// Names a Python that has Alembic and psycopg.
const VARIABLE: &str = "LOCKKEEPER_PYTHON";

/// The project, file by file.
const FILES: [(&str, &str); 6] = [
    ("alembic.ini", include_str!("alembic/alembic.ini")),
    ("env.py", include_str!("alembic/env.py")),
    ("script.py.mako", include_str!("alembic/script.py.mako")),
    ("versions/0001_priority.py", include_str!("alembic/versions/0001_priority.py")),
    ("versions/0002_message_index.py", include_str!("alembic/versions/0002_message_index.py")),
    ("versions/0003_locale.py", include_str!("alembic/versions/0003_locale.py")),
];

/// A Python that can run Alembic against Postgres.
#[derive(Debug, Clone)]
pub(super) struct Python(PathBuf);

impl Python {
    /// Tries the one that is named, that of this repository's environment, and those in PATH.
    pub(super) async fn find() -> anyhow::Result<Self> {
        let candidates = match env::var_os(VARIABLE) {
            Some(named) => vec![PathBuf::from(named)],
            None => candidates(),
        };
        for candidate in &candidates {
            let mut command = Command::new(candidate);
            command.args(["-c", "import alembic, psycopg, sqlalchemy"]).stdin(Stdio::null());
            command.stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
            if command.status().await.is_ok_and(|status| status.success()) {
                return Ok(Self(candidate.clone()));
            }
        }
        let tried: Vec<_> = candidates.iter().map(|path| path.display().to_string()).collect();
        anyhow::bail!(
            "no Python with alembic and psycopg; tried {}; run ./dev demo in the repository, or: python3 -m venv venv && \
             venv/bin/pip install alembic 'psycopg[binary]' && export {VARIABLE}=$PWD/venv/bin/python",
            tried.join(", ")
        )
    }
}

fn candidates() -> Vec<PathBuf> {
    let inside = Path::new(".cache/venv/bin/python");
    let exe = env::current_exe().unwrap_or_default();
    // The folders above target/release/lockkeeper, so that it works from anywhere.
    let above = exe.ancestors().skip(1).map(|folder| folder.join(inside)).filter(|path| path.is_file());
    let here = env::current_dir().map(|folder| folder.join(inside)).into_iter().filter(|path| path.is_file());
    here.chain(above).chain([PathBuf::from("python3"), PathBuf::from("python")]).collect()
}

/// The Alembic project on disk; removed when dropped.
#[derive(Debug)]
pub(super) struct Project {
    folder: TempDir,
    python: Python,
}

impl Project {
    pub(super) fn write(python: Python) -> anyhow::Result<Self> {
        let folder = tempfile::Builder::new().prefix("lockkeeper-demo-").tempdir()?;
        std::fs::create_dir(folder.path().join("versions"))?;
        for (name, text) in FILES {
            std::fs::write(folder.path().join(name), text).with_context(|| format!("cannot write {name}"))?;
        }
        Ok(Self { folder, python })
    }

    /// `alembic upgrade head`, as anybody would type it; says what Alembic and the server say.
    pub(super) async fn upgrade(&self, url: &str, teller: &Teller<'_>) -> anyhow::Result<()> {
        let mut command = Command::new(&self.python.0);
        command.args(["-m", "alembic", "upgrade", "head"]).current_dir(self.folder.path());
        without_variables(&mut command);
        // SQLAlchemy picks the driver by the scheme.
        command.env("DATABASE_URL", url.replacen("postgresql://", "postgresql+psycopg://", 1));
        command.env("PYTHONUNBUFFERED", "1").env("PYTHONDONTWRITEBYTECODE", "1");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().context("cannot run alembic")?;
        let stdout = child.stdout.take().context("alembic has no standard output")?;
        let stderr = child.stderr.take().context("alembic has no standard error")?;
        let (_, errors) = tokio::join!(retell(stdout, teller), retell(stderr, teller));
        let status = child.wait().await?;
        anyhow::ensure!(status.success(), "alembic failed ({status}): {}", errors.unwrap_or_default());
        Ok(())
    }
}

/// Says each line that is worth it; the last line, for an error message.
async fn retell(pipe: impl AsyncRead + Unpin, teller: &Teller<'_>) -> Option<String> {
    let mut lines = BufReader::new(pipe).lines();
    let mut last = None;
    while let Ok(Some(line)) = lines.next_line().await {
        let line = line.trim_end().to_owned();
        if ["NOTICE", "WARNING", "revision"].iter().any(|start| line.starts_with(start)) {
            teller.say(line.clone());
        }
        if !line.is_empty() {
            last = Some(line);
        }
    }
    last
}
