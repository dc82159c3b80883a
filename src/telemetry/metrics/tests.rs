use super::*;
use crate::telemetry::Outcome;

#[test]
fn the_page_has_names_labels_and_totals() {
    let metrics = Metrics::new();
    metrics.request(RouteKind::Package, 206, 10);
    metrics.request(RouteKind::Package, 200, 32);
    metrics.head_refused(431);
    metrics.channel("conda-forge").answered(Outcome::Hit, 42);
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
fn odd_statuses_have_a_class() {
    assert_eq!([class(0), class(99), class(200), class(499), class(600)], [0, 0, 2, 4, 0]);
}
