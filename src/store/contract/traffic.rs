//! Totals by channel and time.

use super::Bed;
use super::samples::{NOW, at};
use crate::clock::UnixMillis;
use crate::store::Store;
use crate::store::model::{Span, Traffic};
use crate::store::repo::TrafficFilter;

const HOUR: i64 = 3600;

pub(super) fn total(span: Span, start: UnixMillis, channel: &str, hits: u64) -> Traffic {
    let channel = channel.to_owned();
    Traffic { span, start, channel, hits, misses: 1, refused: 2, indexes: 3, bytes: 1 << 40 }
}

/// So many times as much.
fn times(total: &Traffic, n: u64) -> Traffic {
    let Traffic { hits, misses, refused, indexes, bytes, .. } = *total;
    let [hits, misses, refused, indexes, bytes] = [hits, misses, refused, indexes, bytes].map(|sum| sum * n);
    Traffic { hits, misses, refused, indexes, bytes, ..total.clone() }
}

fn hours(from: UnixMillis, before: UnixMillis) -> TrafficFilter {
    TrafficFilter { span: Span::Hour, from, before, channel: None }
}

pub(super) async fn totals_add_up(_: &Bed, store: Store) {
    let traffic = store.traffic();
    let one = total(Span::Hour, NOW, "pkgs/main", 4);
    let day = total(Span::Day, NOW, "pkgs/main", 4);
    traffic.add(&[one.clone(), day.clone(), one.clone()]).await.unwrap();
    traffic.add(std::slice::from_ref(&one)).await.unwrap();
    traffic.add(&[]).await.unwrap();
    let found = traffic.list(&hours(NOW, at(1)), None, 9).await.unwrap();
    assert_eq!(found, [times(&one, 3)]);
    let days = TrafficFilter { span: Span::Day, ..hours(NOW, at(1)) };
    assert_eq!(traffic.list(&days, None, 9).await.unwrap(), [day], "hours and days are told apart");
    let large = Traffic { bytes: (1 << 62) - 1, ..total(Span::Hour, at(HOUR), "a", 0) };
    traffic.add(&[large.clone(), Traffic { bytes: 2, ..large.clone() }]).await.unwrap();
    let found = traffic.list(&hours(at(HOUR), at(2 * HOUR)), None, 9).await.unwrap();
    assert_eq!(found[0].bytes, (1 << 62) + 1);
}

pub(super) async fn totals_are_found_by_time_and_channel(_: &Bed, store: Store) {
    let traffic = store.traffic();
    let all: Vec<_> = [(0, "a"), (0, "b/c"), (HOUR, "a"), (2 * HOUR, "a"), (2 * HOUR, "b")]
        .map(|(seconds, channel)| total(Span::Hour, at(seconds), channel, 1))
        .into();
    traffic.add(&[&all[3..], &all[..3]].concat()).await.unwrap();
    let list = async |filter: &TrafficFilter, limit| {
        let mut found: Vec<Traffic> = Vec::new();
        loop {
            let after = found.last().map(|last| (last.start, last.channel.as_str()));
            let page = traffic.list(filter, after, limit).await.unwrap();
            if page.is_empty() {
                return found;
            }
            found.extend(page);
        }
    };
    for limit in [1, 2, 9] {
        assert_eq!(list(&hours(NOW, at(3 * HOUR)), limit).await, all, "{limit} at a time");
    }
    assert_eq!(list(&hours(at(1), at(2 * HOUR)), 9).await, all[2..3], "the end is not in it");
    let of = |channel: &str| TrafficFilter { channel: Some(channel.to_owned()), ..hours(NOW, at(3 * HOUR)) };
    assert_eq!(list(&of("a"), 1).await, [&all[0], &all[2], &all[3]].map(Clone::clone));
    assert_eq!(list(&of("b/c"), 9).await, all[1..2]);
    assert!(list(&of("{\"$ne\":1}"), 9).await.is_empty());
}

pub(super) async fn old_totals_are_forgotten(_: &Bed, store: Store) {
    let traffic = store.traffic();
    for span in [Span::Hour, Span::Day] {
        let of = |n: i64| total(span, at(n * HOUR), "a", 1);
        traffic.add(&[of(0), of(1), of(2), of(3)]).await.unwrap();
    }
    let left = async |span| {
        let filter = TrafficFilter { span, ..hours(UnixMillis(0), at(9 * HOUR)) };
        traffic.list(&filter, None, 9).await.unwrap().len()
    };
    assert_eq!(traffic.forget(Span::Hour, at(3 * HOUR), 2).await, Ok(2));
    assert_eq!(traffic.forget(Span::Hour, at(3 * HOUR), 2).await, Ok(1));
    assert_eq!(traffic.forget(Span::Hour, at(3 * HOUR), 2).await, Ok(0));
    assert_eq!((left(Span::Hour).await, left(Span::Day).await), (1, 4));
}

pub(super) async fn totals_of_many_gates_add_up(_: &Bed, store: Store) {
    let gate = || {
        let store = store.clone();
        async move {
            for _ in 0..5 {
                let both = [total(Span::Hour, NOW, "a", 2), total(Span::Hour, NOW, "b", 7)];
                store.traffic().add(&both).await.unwrap();
            }
        }
    };
    let all: Vec<_> = (0..4).map(|_| tokio::spawn(gate())).collect();
    for gate in all {
        gate.await.unwrap();
    }
    let found = store.traffic().list(&hours(NOW, at(1)), None, 9).await.unwrap();
    let of = |channel, hits| times(&total(Span::Hour, NOW, channel, hits), 20);
    assert_eq!(found, [of("a", 2), of("b", 7)]);
}
