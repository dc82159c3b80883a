//! What belongs to the network: names of upstreams, whether they answer, whether their clock and ours agree.
//!
//! Belongs here: judging what was found out. Does not: asking (`app`, which knows how upstreams are reached).

use std::time::Duration;

use super::Finding;
use crate::clock::UnixMillis;

/// Tokens, cooldowns and certificates go by the clock; a little is the network's.
const SKEW: Duration = Duration::from_secs(30);
const FAR: Duration = Duration::from_mins(5);

/// What was found out about one mirror.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The upstream's name in the rules.
    pub upstream: String,
    /// The mirror's URL, printable.
    pub mirror: String,
    /// How many addresses its name has, or why none; absent where the name is not looked up here: fixed addresses, a proxy.
    pub addresses: Option<Result<usize, String>>,
    /// What it answered, or why not, as a sentence.
    pub answer: Result<Answered, String>,
}

/// An answer.
#[derive(Clone, Copy, Debug)]
pub struct Answered {
    /// The status.
    pub status: u16,
    /// Its `Date`, which has whole seconds.
    pub date: Option<UnixMillis>,
    /// How long it took.
    pub took: Duration,
}

pub(super) fn judge(probes: &[Probe], now: UnixMillis) -> Vec<Finding> {
    let mut findings: Vec<_> = probes.iter().flat_map(one).collect();
    let dates = probes.iter().filter_map(|probe| probe.answer.as_ref().ok()?.date);
    findings.push(clock(dates, now));
    findings
}

fn one(probe: &Probe) -> Vec<Finding> {
    let Probe { upstream, mirror, .. } = probe;
    let mut findings = Vec::new();
    match &probe.addresses {
        Some(Ok(count)) => findings.push(Finding::good("names", format!("the host of {mirror} has {count} addresses"))),
        Some(Err(why)) => findings.push(Finding::wrong(
            "names",
            format!("the host of {mirror} can't be found: {why}"),
            format!("see /etc/resolv.conf, or give the upstream `{upstream}` fixed addresses with `resolve:` in the rules"),
        )),
        None => {}
    }
    findings.push(match &probe.answer {
        Ok(answer) if matches!(answer.status, 401 | 407) => Finding::wrong(
            "upstreams",
            format!("{mirror} asks for credentials ({})", answer.status),
            format!("give `{upstream}` `credentials:` in the rules, or correct them"),
        ),
        Ok(answer) => Finding::good("upstreams", format!("{mirror} answers within {} ms", answer.took.as_millis())),
        Err(why) => Finding::wrong(
            "upstreams",
            why.clone(),
            "see whether a firewall or proxy stands between (`egress.proxy`), and whether `urls:` in the rules is right",
        ),
    });
    findings
}

/// The median, so that one server with a wrong clock does not accuse ours.
fn clock(dates: impl Iterator<Item = UnixMillis>, now: UnixMillis) -> Finding {
    let mut off: Vec<i64> = dates.map(|date| now.0.saturating_sub(date.0)).collect();
    off.sort_unstable();
    let Some(off) = off.get(off.len() / 2).copied() else {
        return Finding::skipped("clock", "no upstream told the time");
    };
    let by = Duration::from_millis(off.unsigned_abs());
    let says = format!("this machine's is {} s {}", by.as_secs(), if off < 0 { "behind" } else { "ahead" });
    let fix = "let NTP set it: timedatectl set-ntp true";
    if by >= FAR {
        Finding::wrong("clock", says, fix)
    } else if by >= SKEW {
        Finding::note("clock", says, fix)
    } else {
        Finding::good("clock", "this machine's agrees with that of upstream")
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    fn probe(addresses: Option<Result<usize, String>>, answer: Result<(u16, i64), &str>) -> Probe {
        let answered = |(status, date)| Answered {
            status,
            date: Some(UnixMillis(date)),
            took: Duration::from_millis(7),
        };
        Probe {
            upstream: "a".into(),
            mirror: "http://h/".into(),
            addresses,
            answer: answer.map(answered).map_err(str::to_owned),
        }
    }

    #[test]
    fn what_is_wrong_has_a_fix() {
        let now = UnixMillis(10_000_000);
        let states = |probes: &[Probe]| {
            let findings = judge(probes, now);
            assert!(
                findings.iter().all(|f| f.fix.is_some() == matches!(f.state, State::Wrong | State::Note)),
                "{findings:?}"
            );
            findings.iter().map(|finding| (finding.about, finding.state)).collect::<Vec<_>>()
        };
        let well = probe(Some(Ok(2)), Ok((200, 9_999_000)));
        assert_eq!(
            states(std::slice::from_ref(&well)),
            [("names", State::Good), ("upstreams", State::Good), ("clock", State::Good)]
        );
        let unknown = probe(Some(Err("no such host".into())), Err("upstream http://h/ can't be reached"));
        assert_eq!(
            states(&[unknown]),
            [("names", State::Wrong), ("upstreams", State::Wrong), ("clock", State::Skipped)]
        );
        assert_eq!(
            states(&[probe(None, Ok((401, 9_999_000)))]),
            [("upstreams", State::Wrong), ("clock", State::Good)]
        );
        assert_eq!(
            states(&[probe(None, Ok((404, 9_000_000)))]),
            [("upstreams", State::Good), ("clock", State::Wrong)]
        );
        assert_eq!(states(&[probe(None, Ok((200, 10_060_000)))])[1], ("clock", State::Note));
        let odd = probe(None, Ok((200, 0)));
        assert_eq!(states(&[well.clone(), odd, well])[5], ("clock", State::Good), "the median counts");
    }
}
