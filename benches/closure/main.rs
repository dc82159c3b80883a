//! How long a real client takes to get the shards of some packages: `rattler_repodata_gateway`, which pixi uses, with an empty cache
//! each time.
//!
//! `cargo bench --bench closure -- --names FILE URL…` asks every channel URL in turn, five rounds, and prints the median of each as
//! JSON. `benches/compare/run --only policy` calls it. Under `cargo test` it does nothing.
#![expect(
    clippy::print_stdout,
    clippy::expect_used,
    reason = "a bench reports, and stops where anything fails"
)]

use std::time::Duration;

use rattler_conda_types::{Channel, ChannelConfig, MatchSpec, ParseStrictness, Subdir};
use rattler_repodata_gateway::{Gateway, SourceConfig};
use tokio::time::Instant;

const ROUNDS: usize = 5;

fn main() {
    let mut args = std::env::args().skip(1).filter(|arg| arg != "--bench");
    if args.next().as_deref() != Some("--names") {
        return;
    }
    let names = std::fs::read_to_string(args.next().expect("a file of names")).expect("the names");
    let names: Vec<&str> = names.split_whitespace().collect();
    let urls: Vec<String> = args.collect();
    rustls::crypto::ring::default_provider().install_default().expect("the first provider");
    let mut took: Vec<Vec<Duration>> = vec![Vec::new(); urls.len()];
    for _ in 0..ROUNDS {
        for (url, took) in urls.iter().zip(&mut took) {
            took.push(once(url, &names));
        }
    }
    let medians = urls.iter().zip(took).map(|(url, mut took)| {
        took.sort_unstable();
        (url.clone(), took[ROUNDS / 2].as_secs_f64().into())
    });
    println!("{}", serde_json::Value::Object(medians.collect()));
}

/// Shard index and shards of `names`, from nothing.
fn once(url: &str, names: &[&str]) -> Duration {
    let cache = tempfile::tempdir().expect("a directory");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let source = SourceConfig { sharded_enabled: true, ..SourceConfig::default() };
        let client = Gateway::builder()
            .with_client(reqwest::Client::builder().no_proxy().build().expect("a client"))
            .with_cache_dir(cache.path())
            .with_channel_config(rattler_repodata_gateway::ChannelConfig {
                default: source,
                ..rattler_repodata_gateway::ChannelConfig::default()
            })
            .finish();
        let config = ChannelConfig::default_with_root_dir(cache.path().to_path_buf());
        let channel = Channel::from_str(url, &config).expect("a channel URL");
        let spec = |name: &&str| MatchSpec::from_str(name, ParseStrictness::Strict).expect("a name");
        let begin = Instant::now();
        let query = client.query([channel], [Subdir::Linux64], names.iter().map(spec)).recursive(false);
        let found: usize = query.await.expect("the records").iter().map(|data| data.iter().count()).sum();
        assert!(found >= names.len(), "{found} records of {} packages from {url}", names.len());
        begin.elapsed()
    })
}
