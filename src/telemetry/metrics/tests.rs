use super::*;
use crate::telemetry::Outcome;

#[test]
fn the_page_has_names_labels_and_totals() {
    let metrics = Metrics::new();
    metrics.request(RouteKind::Package, 206, 10);
    metrics.request(RouteKind::Package, 200, 32);
    metrics.head_refused(431);
    metrics.channel("conda-forge").answered(RouteKind::Package, Outcome::Hit, 42);
    metrics.upstream("anaconda").answered(Duration::from_millis(20));
    metrics.upstream("anaconda").failed();
    metrics.set_mirror_health("anaconda", "https://conda.example", true);
    metrics.fill_ended(FillResult::Stored);
    metrics.build_ended(true, Duration::from_secs(3));
    metrics.disk_budget.set(1 << 40);
    let page = metrics.encode();
    for line in [
        "condagate_proxy_requests_total{kind=\"package\",status=\"2xx\"} 2",
        "condagate_proxy_sent_bytes_total 42",
        "condagate_proxy_heads_refused_total{status=\"431\"} 1",
        "condagate_cache_answers_total{channel=\"conda-forge\",outcome=\"hit\"} 1",
        "condagate_cache_sent_bytes_total{channel=\"conda-forge\",outcome=\"hit\"} 42",
        "condagate_upstream_first_byte_seconds_bucket{le=\"0.025\",upstream=\"anaconda\"} 1",
        "condagate_upstream_requests_total{upstream=\"anaconda\",result=\"failed\"} 1",
        "condagate_upstream_mirror_healthy{upstream=\"anaconda\",mirror=\"https://conda.example\"} 1",
        "condagate_cache_fills_total{result=\"stored\"} 1",
        "condagate_repodata_builds_total{result=\"built\"} 1",
        "condagate_cache_disk_budget_bytes 1099511627776",
        "condagate_telemetry_access_lines_lost_total 0",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is missing in\n{page}");
    }
}

#[test]
fn channel_labels_are_bounded() {
    let metrics = Metrics::new();
    for n in 0..MAX_CHANNELS {
        assert_eq!(metrics.channel(&format!("c{n}")).name(), format!("c{n}"));
    }
    assert_eq!(metrics.channel("one-more").name(), OTHER);
    assert_eq!(metrics.channel("c7").name(), "c7");
    assert!(Arc::ptr_eq(&metrics.channel("c7"), &metrics.channel("c7")));
}

#[test]
fn traffic_tells_packages_from_indexes_and_hits_from_misses() {
    let metrics = Metrics::new();
    let forge = metrics.channel("conda-forge");
    for (kind, outcome, bytes) in [
        (RouteKind::Package, Outcome::Hit, 10),
        (RouteKind::Package, Outcome::Local, 10),
        (RouteKind::Package, Outcome::Fill, 10),
        (RouteKind::Package, Outcome::Follow, 10),
        (RouteKind::Package, Outcome::Failed, 1),
        (RouteKind::Index, Outcome::Hit, 100),
        (RouteKind::Shard, Outcome::Fill, 100),
        (RouteKind::Document, Outcome::Hit, 1000),
    ] {
        forge.answered(kind, outcome, bytes);
    }
    let before = forge.traffic();
    assert_eq!(before, Traffic { hits: 2, misses: 2, refused: 0, indexes: 2, bytes: 1241 });
    forge.refused();
    forge.answered(RouteKind::Package, Outcome::Hit, 9);
    let more = forge.traffic().since(before);
    assert_eq!(more, Traffic { hits: 1, refused: 1, bytes: 9, ..Traffic::default() });
    assert_eq!(before.plus(more), forge.traffic());
    // Scrapers are told the sums.
    let line = "condagate_cache_answers_total{channel=\"conda-forge\",outcome=\"hit\"} 4";
    assert!(metrics.encode().lines().any(|found| found == line));
    assert!(metrics.known_channel("conda-forge").is_some() && metrics.known_channel("made-up").is_none());
}

#[test]
fn odd_statuses_have_a_class() {
    assert_eq!([class(0), class(99), class(200), class(499), class(600)], [0, 0, 2, 4, 0]);
}

/// A page on which every metric has a sample with every label.
fn full_page() -> String {
    let metrics = Metrics::new();
    metrics.head_refused(431);
    metrics.channel("conda-forge").answered(RouteKind::Package, Outcome::Hit, 42);
    let upstream = metrics.upstream("anaconda");
    upstream.answered(Duration::from_millis(20));
    metrics.set_mirror_health("anaconda", "https://conda.example", true);
    for result in [
        FillResult::Stored,
        FillResult::NotModified,
        FillResult::NotFound,
        FillResult::Mismatch,
        FillResult::Failed,
    ] {
        metrics.fill_ended(result);
    }
    metrics.build_ended(true, Duration::from_secs(3));
    metrics.build_ended(false, Duration::from_secs(3));
    metrics.policy.refused("recall-42");
    metrics.policy.left_out("conda-forge", "noarch", 1);
    let rules = std::iter::once((RuleEffect::Withheld, "recall-42", 1));
    metrics.policy.index_in_force("conda-forge", "noarch", rules);
    metrics.set_certificates([("gate.example.org".to_owned(), 2_000_000_000)].into_iter());
    metrics.jobs.begun();
    metrics.jobs.ended("notify.mail", "done", Duration::from_secs(1));
    metrics.jobs.panicked("notify.mail");
    metrics.encode()
}

/// `name` and `label="value"` of every metric that a text names, as far as it says them.
fn named(text: &str) -> Vec<(String, Vec<String>)> {
    let text = text.replace("\\\"", "\"");
    let mut found = Vec::new();
    for (at, _) in text.match_indices("condagate_") {
        let rest = &text[at..];
        let name: String = rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect();
        let matchers = rest[name.len()..].strip_prefix('{').and_then(|rest| rest.split_once('}'));
        let matchers = matchers.map_or("", |(inside, _)| inside);
        let matchers = matchers.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty());
        found.push((name, matchers.collect()));
    }
    found
}

/// What alerts, the dashboard and the documents are about exists.
#[test]
fn what_is_watched_is_exported() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = full_page();
    let samples: Vec<&str> = page.lines().filter(|line| !line.starts_with('#')).collect();
    let mut files: Vec<_> =
        ["README.md", "deploy/README.md", "deploy/grafana/condagate.json"].map(|f| root.join(f)).into();
    for dir in ["deploy/prometheus", "deploy/docs"] {
        files.extend(std::fs::read_dir(root.join(dir)).unwrap().map(|entry| entry.unwrap().path()));
    }
    let mut checked = 0;
    for file in files {
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        for (name, matchers) in named(&text) {
            // Names of packages and of a database look like metrics.
            let what = name.trim_start_matches("condagate_");
            if what == "mq" || !what.starts_with(|c: char| c.is_ascii_lowercase()) {
                continue;
            }
            let of_name: Vec<_> = samples
                .iter()
                .filter(|sample| sample.strip_prefix(&*name).is_some_and(|rest| rest.starts_with(['{', ' '])))
                .collect();
            assert!(!of_name.is_empty(), "{}: `{name}` is not exported", file.display());
            for matcher in matchers {
                let label = matcher.split(['=', '!']).next().unwrap();
                if ["instance", "job"].contains(&label) {
                    continue;
                }
                let is_exact = !matcher.contains('!') && !matcher.contains("=~");
                // Mirrors and the like have names of their own.
                let known = ["result", "kind", "status"].contains(&label) && is_exact;
                let wanted = if known { matcher.clone() } else { format!("{label}=\"") };
                let there = of_name.iter().any(|sample| sample.contains(&*wanted));
                assert!(there, "{}: {name} has no {wanted}", file.display());
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} metrics were found");
}
