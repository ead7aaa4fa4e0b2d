//! How fast the rows of a `COPY .. FROM STDIN` go by: they are held back by not being read. The signals are those of batches, but for
//! peak hours: its transaction is open, so that nobody is helped by a COPY that waits for an hour.

use std::time::Duration;

use super::pressure::Pressure;
use super::quota;
use super::sense::Sense;
use super::settings::Settings;
use super::signal::{Effect, Hold, bytes};
use super::{LOOK_EVERY, SLOWED_MAX, scaled};

/// What is smaller is felt by nobody.
const FREE_BYTES: u64 = 8 << 20;

/// So long it goes by before it is asked again.
const STRETCH: Duration = Duration::from_millis(100);

/// However long its client took to send it, a pause is no longer than after so much time.
const STRETCH_MAX: Duration = Duration::from_secs(1);

/// The controller of one COPY. Time is given as that since its beginning.
#[derive(Debug)]
pub struct Flow {
    settings: Settings,
    sense: Sense,
    looked: Option<Duration>,
    passed: u64,
    /// Since when it goes by, how many bytes did since then, ..
    since: Duration,
    stretch: u64,
    /// .. and until when no more are read.
    until: Duration,
    holds: Vec<Hold>,
}

impl Flow {
    /// At its beginning.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            sense: Sense::default(),
            looked: None,
            passed: 0,
            since: Duration::ZERO,
            stretch: 0,
            until: Duration::ZERO,
            holds: Vec::new(),
        }
    }

    /// So many bytes have gone by.
    pub const fn passed(&mut self, bytes: u64) {
        self.passed = self.passed.saturating_add(bytes);
        self.stretch = self.stretch.saturating_add(bytes);
    }

    /// Whether it is time to ask the control connection.
    pub fn looks(&self, at: Duration) -> bool {
        let due = self.looked.is_none_or(|looked| at.saturating_sub(looked) >= LOOK_EVERY);
        due && self.is_felt() && self.settings.looks()
    }

    /// Takes in what the control connection has answered; `None` where it did not answer.
    pub fn see(&mut self, at: Duration, pressure: Option<Pressure>) {
        self.looked = Some(at);
        self.sense.see(at, pressure, &self.settings);
    }

    /// How long nothing is to be read, `LOOK_EVERY` at most; then ask again.
    pub fn wait(&mut self, at: Duration) -> Option<Duration> {
        if at >= self.until && self.is_due(at) {
            self.turn(at);
        }
        let left = self.until.saturating_sub(at);
        (!left.is_zero()).then(|| left.min(LOOK_EVERY))
    }

    /// How far it is since its beginning, and what holds it back; nothing while it is small enough to go by unseen.
    pub fn account(&self, at: Duration) -> Option<String> {
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX).max(1);
        let rate = self.passed.saturating_mul(1000) / millis;
        let holds: Vec<&str> = self.holds.iter().map(|hold| hold.words.as_str()).collect();
        let why = if holds.is_empty() { String::new() } else { format!("; held back: {}", holds.join(", ")) };
        self.is_felt().then(|| format!("{} read, {}/s{why}", bytes(self.passed), bytes(rate)))
    }

    /// What stops it until that is gone.
    pub fn stopped_by(&self) -> Option<&Hold> {
        self.holds.iter().find(|hold| hold.effect == Effect::Stops)
    }

    fn is_felt(&self) -> bool {
        self.passed >= FREE_BYTES
    }

    fn is_due(&self, at: Duration) -> bool {
        let most = self.settings.copy_bytes_per_second;
        self.stopped_by().is_some()
            || at.saturating_sub(self.since) >= STRETCH
            || most.is_some_and(|most| quota::time_of(self.stretch, most) >= STRETCH)
    }

    fn turn(&mut self, at: Duration) {
        let took = at.saturating_sub(self.since).min(STRETCH_MAX);
        let allowed = self.settings.copy_bytes_per_second.map(|most| quota::time_of(self.stretch, most));
        let mut until = allowed.map_or(at, |time| self.since.saturating_add(time)).max(at);
        self.holds = if self.is_felt() { self.sense.holds(&self.settings) } else { Vec::new() };
        let mut slowed = 0_u64;
        for hold in &self.holds {
            match hold.effect {
                Effect::Stops => until = until.max(at + LOOK_EVERY),
                Effect::Slows(by) => slowed = slowed.saturating_add(by),
                Effect::Until(then) => until = until.max(then.min(at + SLOWED_MAX)),
                Effect::Shrinks => {}
            }
        }
        self.until = until.max(at + scaled(took, slowed, 1000).min(SLOWED_MAX));
        (self.since, self.stretch) = (self.until, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::pressure::{Kind, Sight, Standby};
    use super::*;

    const fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// What goes by in so many seconds where the client sends as fast as it can, a megabyte in ten milliseconds.
    fn run(flow: &mut Flow, from: Duration, seconds: u64, pressure: &Pressure) -> u64 {
        let (mut at, mut bytes) = (from, 0);
        while at < from + Duration::from_secs(seconds) {
            if flow.looks(at) {
                flow.see(at, Some(pressure.clone()));
            }
            if let Some(time) = flow.wait(at) {
                at += time;
            } else {
                flow.passed(1 << 20);
                bytes += 1;
                at += ms(10);
            }
        }
        bytes
    }

    fn behind(seconds: u64) -> Pressure {
        let standby = Standby {
            pid: 1,
            name: "replica1".into(),
            replayed: 1,
            lag: Some(Duration::from_secs(seconds)),
            kind: Kind::Physical,
        };
        Pressure { wal: 1000, standbys: vec![standby], sight: Sight::Clear, ..Pressure::default() }
    }

    #[test]
    fn it_is_as_fast_as_it_may() {
        let mut flow = Flow::new(Settings::default());
        assert_eq!(run(&mut flow, Duration::ZERO, 10, &Pressure::default()), 1000, "nothing holds it back");
        let mut capped = Flow::new(Settings { copy_bytes_per_second: Some(5 << 20), ..Settings::default() });
        let megabytes = run(&mut capped, Duration::ZERO, 10, &Pressure::default());
        assert!((48..=52).contains(&megabytes), "{megabytes}");
    }

    #[test]
    fn a_standby_stops_it_and_it_goes_on_after() {
        let mut flow = Flow::new(Settings::default());
        let free = run(&mut flow, Duration::ZERO, 5, &behind(9));
        assert!((8..20).contains(&free), "what is small is not held back: {free}");
        assert_eq!(run(&mut flow, Duration::from_secs(5), 60, &behind(9)), 0);
        let words = flow.stopped_by().map(|hold| hold.words.as_str());
        assert_eq!(words, Some("standby \"replica1\" is 10 s behind (max 5 s)"));
        assert!(run(&mut flow, Duration::from_secs(65), 10, &Pressure::default()) > 900);
        assert_eq!(flow.stopped_by(), None);
    }

    #[test]
    fn what_slows_never_stops_it() {
        let mut flow = Flow::new(Settings { cores: Some(1), ..Settings::default() });
        let busy = Pressure { active: 4, ..Pressure::default() };
        let slow = run(&mut flow, Duration::ZERO, 20, &busy);
        assert!((200..500).contains(&slow), "{slow}");
    }
}
