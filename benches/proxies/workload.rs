//! What is measured.

/// One thing to measure.
#[derive(Debug)]
pub(crate) struct Workload {
    /// What `--only` takes.
    pub(crate) id: &'static str,
    /// The heading of its row.
    pub(crate) title: &'static str,
    /// Under which conditions.
    pub(crate) stage: Stage,
    /// What the clients do.
    pub(crate) kind: Kind,
}

/// Conditions, for which the proxies are started anew.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// Pinned as `--pin` says, one thread for each proxy.
    Plain,
    /// The same with TLS between the clients and the proxy.
    Tls,
    /// Two cores for everybody, as many threads as a proxy wants.
    TwoCores,
}

/// What the clients do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// pgbench, with connections that stay.
    Pgbench(Load),
    /// pgbench, with a connection for each transaction.
    Churn {
        /// Clients at the same time.
        clients: u32,
    },
    /// One client that reads big results, one after another.
    Rows,
    /// One client that sends big COPYs.
    Copy,
    /// A thousand sessions that do nothing.
    Idle,
}

/// What pgbench is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Load {
    /// Clients at the same time.
    pub(crate) clients: u32,
    /// `simple`, `extended` or `prepared`.
    pub(crate) mode: &'static str,
    /// The transaction.
    pub(crate) script: Script,
}

/// A transaction of pgbench.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Script {
    /// One row by its key.
    Select,
    /// Seven statements, five of which write or begin and end.
    TpcB,
    /// Fifty selects, sent at once.
    Pipeline,
}

impl Script {
    /// How many statements a transaction has.
    pub(crate) const fn statements(self) -> f64 {
        match self {
            Self::Select => 1.0,
            Self::TpcB => 7.0,
            Self::Pipeline => 50.0,
        }
    }
}

/// Sessions whose memory is measured.
pub(crate) const IDLE_SESSIONS: usize = 1_000;

/// A big result: about 10 MB.
pub(crate) const ROWS: &str = "SELECT id, note FROM bench_rows";

/// A result that fills every buffer on its way, for each of the idle sessions: about 1 MB.
pub(crate) const ROWS_WHILE_IDLE: &str = "SELECT id, note FROM bench_rows LIMIT 10000";

/// The fifty selects.
pub(crate) fn pipeline_script() -> String {
    let select = "SELECT abalance FROM pgbench_accounts WHERE aid = :aid;\n";
    format!("\\set aid random(1, 100000 * :scale)\n\\startpipeline\n{}\\endpipeline\n", select.repeat(50))
}

const fn pgbench(clients: u32, mode: &'static str, script: Script) -> Kind {
    Kind::Pgbench(Load { clients, mode, script })
}

const fn plain(id: &'static str, title: &'static str, kind: Kind) -> Workload {
    Workload { id, title, stage: Stage::Plain, kind }
}

/// All of them, in the order of the page.
pub(crate) const ALL: &[Workload] = &[
    plain("select-simple-1", "select, simple, 1 client", pgbench(1, "simple", Script::Select)),
    plain("select-extended-1", "select, extended, 1 client", pgbench(1, "extended", Script::Select)),
    plain("select-prepared-1", "select, prepared, 1 client", pgbench(1, "prepared", Script::Select)),
    plain("select-simple-32", "select, simple, 32 clients", pgbench(32, "simple", Script::Select)),
    plain("select-extended-32", "select, extended, 32 clients", pgbench(32, "extended", Script::Select)),
    plain("select-prepared-32", "select, prepared, 32 clients", pgbench(32, "prepared", Script::Select)),
    plain("tpcb-8", "TPC-B, simple, 8 clients", pgbench(8, "simple", Script::TpcB)),
    plain("pipeline-50", "pipeline of 50, extended, 1 client", pgbench(1, "extended", Script::Pipeline)),
    plain("rows", "result of 100,000 rows", Kind::Rows),
    plain("copy", "COPY in", Kind::Copy),
    plain("churn", "a connection for each select, 8 clients", Kind::Churn { clients: 8 }),
    plain("idle", "1,000 idle sessions", Kind::Idle),
    Workload {
        id: "tls-select-simple-1",
        title: "TLS: select, simple, 1 client",
        stage: Stage::Tls,
        kind: pgbench(1, "simple", Script::Select),
    },
    Workload {
        id: "tls-select-prepared-32",
        title: "TLS: select, prepared, 32 clients",
        stage: Stage::Tls,
        kind: pgbench(32, "prepared", Script::Select),
    },
    Workload { id: "tls-rows", title: "TLS: result of 100,000 rows", stage: Stage::Tls, kind: Kind::Rows },
    Workload { id: "tls-idle", title: "TLS: 1,000 idle sessions", stage: Stage::Tls, kind: Kind::Idle },
    Workload {
        id: "two-cores-simple-32",
        title: "two cores: select, simple, 32 clients",
        stage: Stage::TwoCores,
        kind: pgbench(32, "simple", Script::Select),
    },
    Workload {
        id: "two-cores-prepared-32",
        title: "two cores: select, prepared, 32 clients",
        stage: Stage::TwoCores,
        kind: pgbench(32, "prepared", Script::Select),
    },
];
