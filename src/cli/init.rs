//! `lockkeeper init`: installs schema `lockkeeper`, or shows what that would be.

use std::io::Write as _;
use std::process::ExitCode;

use crate::control::NoSchema;
use crate::control::schema::{self, Done, Report, SCRIPT, VERSION};

use super::check::on_this_thread;
use super::database::{self, DatabaseArgs};

/// Arguments of `lockkeeper init`.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    #[command(flatten)]
    database: DatabaseArgs,
    /// Print the SQL for somebody to review, or to run by psql, and touch nothing.
    #[arg(long)]
    sql: bool,
}

/// Installs the schema or brings it up to date.
pub(super) fn run(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let mut out = std::io::stdout().lock();
    if args.sql {
        write!(out, "{SCRIPT}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let (route, _) = args.database.route()?;
    let report = on_this_thread(async {
        let client = route.client().await?;
        schema::install(&client).await.map_err(refused)
    })?;
    write!(out, "{}", told(&report))?;
    Ok(ExitCode::SUCCESS)
}

/// What was done, and who may do what with it now.
fn told(report: &Report) -> String {
    let Report { database, owner, .. } = report;
    let place = format!("database {database:?}: schema \"lockkeeper\"");
    let done = match report.done {
        Done::Installed => format!("{place}, version {VERSION}, is installed and belongs to role {owner:?}"),
        Done::Upgraded { from } => {
            format!(
                "{place} is brought from version {from} to version {VERSION}; it belongs to role {owner:?}"
            )
        }
        Done::Nothing => {
            format!("{place} has version {VERSION} already and belongs to role {owner:?}; nothing was done")
        }
    };
    let next = if report.superuser {
        "\
a proxy takes up what another one has left over where its control role sees the tasks of all:
  GRANT SELECT ON lockkeeper.task TO <control role>;\n"
            .to_owned()
    } else {
        format!("proxies use it whose control role is {owner:?}; others want it to belong to a superuser\n")
    };
    format!("{done}\n{next}")
}

/// As elsewhere, but nobody else's schema is brought up to date.
fn refused(why: NoSchema) -> anyhow::Error {
    match why {
        NoSchema::Owned { owner, database, .. } => anyhow::anyhow!(
            "schema \"lockkeeper\" in database {database:?} belongs to role {owner:?}; run this as that role, or drop the schema \
             if nobody needs it"
        ),
        why => database::refused(why),
    }
}
