//! The condagate binary: the allocator, the TLS provider, the command line.

use std::process::ExitCode;

use condagate::{app, cli};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Two libraries bring TLS. Without a choice made here the first connection would panic if both brought a provider.
    let _nobody_was_first = rustls::crypto::ring::default_provider().install_default();
    cli::run(&cli::Commands {
        serve: |config, rules, ready_file, take_over| Ok(app::serve(config, rules, ready_file, take_over)?),
        certificates: |config| Ok(app::check_certificates(config)?),
        offline: |config, rules, request| Ok(app::offline(config, rules, request)?),
        explain: |config, rules, question| Ok(app::explain_offline(config, rules, question)?),
        try_notifying: |config| Ok(app::try_notifying(config)?),
        probe: app::probe,
    })
}
