//! What holds however fast the server, its standby and its other sessions are.

use std::time::Duration;

use proptest::prelude::*;

use super::super::{Effect, SLOWED_MAX, Settings};
use super::server::Server;
use super::{ms, pace, s, said};

fn longest_gap(server: &Server, from: Duration) -> Duration {
    let begun: Vec<Duration> = server.since(from).iter().map(|done| done.began).collect();
    let ends = begun.iter().copied().chain([server.now]);
    std::iter::once(from)
        .chain(begun.iter().copied())
        .zip(ends)
        .map(|(one, next)| next.saturating_sub(one))
        .max()
        .unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_time_of_a_batch_finds_its_target(
        (batch_micros, row_micros) in (0..20_000_u64, 1..30_000_u64),
        jitter in prop::collection::vec(0..10_u64, 1..20),
        later in 1..30_000_u64,
    ) {
        let mut server = Server { batch_micros, row_micros, jitter, ..Server::new() };
        let mut pace = pace(Settings::default());
        for row_micros in [row_micros, later] {
            server.row_micros = row_micros;
            // The first one may be as big as it is slow.
            let before = server.done.len();
            while server.done.len() == before {
                server.run(&mut pace, ms(1));
            }
            server.run(&mut pace, s(200));
            let settled = server.since(server.now.saturating_sub(s(10)));
            prop_assert!(!settled.is_empty());
            let target = pace.target();
            for done in settled {
                let at_most = done.rows == pace.settings.batch_rows_max;
                let at_least = done.rows == pace.settings.batch_rows_min;
                prop_assert!(done.took <= target * 115 / 100 || at_least, "{done:?} {row_micros}");
                // One row more or less may be much.
                let room = Duration::from_micros(2 * row_micros);
                prop_assert!(done.took + room >= target * 6 / 10 || at_most, "{done:?} {row_micros}");
            }
        }
    }

    #[test]
    fn a_slow_standby_is_never_far_behind_and_it_goes_on(
        percent in 5..300_u64,
        row_bytes in 100..5000_u64,
        row_micros in 10..200_u64,
        by_bytes: bool,
    ) {
        let fastest = row_bytes * 1_000_000 / row_micros;
        let bytes_per_second = fastest * percent / 100;
        let mut server = Server { row_micros, row_bytes, ..Server::with_standby(bytes_per_second) };
        let (lag, bytes) = (s(4), bytes_per_second * 4);
        let settings = Settings {
            replay_lag_max: (!by_bytes).then_some(lag),
            replay_bytes_max: by_bytes.then_some(bytes),
            ..Settings::default()
        };
        let mut pace = pace(settings);
        server.run(&mut pace, s(300));
        let half = server.now / 2;
        // Between two looks it may write on, as fast as it can, and how fast a standby replays it has to learn first.
        for look in &server.looked {
            let learning = if by_bytes || look.at > half { 1 } else { 5 };
            prop_assert!(look.behind <= bytes * 12 / 10 + fastest * learning, "{look:?} {bytes} {fastest}");
        }
        // It makes use of what the standby can take, as far as it can write so much.
        let written = server.rows_since(half) * row_bytes;
        let can = bytes_per_second.min(fastest / 2) * 150;
        prop_assert!(written > can * 4 / 10, "{written} of {can}");
        prop_assert!(longest_gap(&server, half) < s(15));
    }

    #[test]
    fn rows_for_each_second_are_kept_over_any_time(
        most in 1..3000_u64,
        row_micros in 1..2000_u64,
        batch_micros in 0..10_000_u64,
    ) {
        let mut server = Server { batch_micros, row_micros, ..Server::new() };
        let mut pace = pace(Settings { rows_per_second: Some(most), ..Settings::default() });
        server.run(&mut pace, s(60));
        for first in 0..server.done.len() {
            let begun = server.done[first].began;
            let mut rows = 0;
            for done in &server.done[first..] {
                // What began before this one has had its time.
                let allowed = u128::from(most) * done.began.saturating_sub(begun).as_micros();
                prop_assert!(rows * 1_000_000 <= allowed + 1_000_000, "{done:?} {rows}");
                rows += u128::from(done.rows);
            }
        }
        let can = 1_000_000 / row_micros / 4;
        let rows = server.rows_since(s(20));
        prop_assert!(rows >= most.min(can) * 40 / 2, "{rows} of {most} in each second");
    }

    #[test]
    fn what_only_slows_never_stops_it(
        active in 0..2000_u64,
        others_bytes in 0..200_000_000_u64,
        checkpoint_bytes in 1_000_000..2_000_000_000_u64,
        wal_per_second in 1000..100_000_000_u64,
        row_micros in 10..5000_u64,
    ) {
        let mut server = Server { row_micros, others_bytes, active, checkpoint_bytes, ..Server::new() };
        let settings = Settings {
            cores: Some(4),
            wal_per_second: Some(wal_per_second),
            ..Settings::default()
        };
        let mut pace = pace(settings);
        server.run(&mut pace, s(200));
        prop_assert!(longest_gap(&server, Duration::ZERO) <= SLOWED_MAX + s(1));
        let stops = pace.holds().iter().any(|hold| hold.effect == Effect::Stops);
        prop_assert!(!stops, "{}", said(&pace));
    }

    #[test]
    fn wal_for_each_second_is_kept(
        wal_per_second in 1_000_000..50_000_000_u64,
        others in 0..90_u64,
        row_bytes in 100..5000_u64,
    ) {
        let others_bytes = wal_per_second * others / 100;
        let mut server = Server { row_bytes, others_bytes, ..Server::new() };
        let mut pace = pace(Settings { wal_per_second: Some(wal_per_second), ..Settings::default() });
        let begun = server.wal;
        server.run(&mut pace, s(100));
        // What is written before the first look that sees it is made up for by and by.
        let once = 2 * row_bytes * 1_000_000 / server.row_micros;
        prop_assert!(server.wal - begun <= wal_per_second * 100 + once);
    }
}
