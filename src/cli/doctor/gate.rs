//! What belongs to the gate: its addresses, its directories, its store, its certificate.
//!
//! Belongs here: checks that need the settings only. Does not: the machine ([`super::machine`]), upstreams ([`super::network`]).

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::time::Duration;

use super::super::Commands;
use super::super::socket;
use super::super::store::{OpenError, block_on, existing};
use super::Finding;
use crate::config::Config;
use crate::store::engine::SCHEMA;

/// How long an address of a running gate may take to accept.
const PATIENCE: Duration = Duration::from_secs(3);
const THREE_WAYS: &str = "let systemd open it (AmbientCapabilities=CAP_NET_BIND_SERVICE or socket activation), give the binary the right \
    (setcap cap_net_bind_service=+ep), or take a port from 1024 on";

pub(super) fn look(config: &Config, commands: &Commands) -> Vec<Finding> {
    let is_running = socket::is_answered(&config.control_socket());
    let mut findings = vec![running(config, is_running)];
    let encrypted = config.tls.listen.iter().filter(|_| !config.tls.certificates.is_empty());
    let addresses = config.listen.iter().chain(encrypted);
    findings.extend(addresses.map(|address| port(*address, is_running)));
    let dirs =
        [("data", &config.data), ("packages", &config.storage.packages), ("indexes", &config.storage.cache)];
    findings.extend(dirs.into_iter().map(|(about, dir)| directory(about, dir)));
    findings.push(store(config));
    findings.extend(certificates(config, commands));
    findings
}

fn running(config: &Config, is_running: bool) -> Finding {
    let data = config.data.display();
    if is_running {
        Finding::good("gate", format!("one is running on {data}"))
    } else {
        Finding::skipped("gate", format!("none is running on {data}"))
    }
}

fn port(address: SocketAddr, is_running: bool) -> Finding {
    const ABOUT: &str = "address";
    if is_running {
        let mut target = address;
        if address.ip().is_unspecified() {
            target.set_ip(if address.is_ipv4() {
                [127, 0, 0, 1].into()
            } else {
                std::net::Ipv6Addr::LOCALHOST.into()
            });
        }
        if address.port() != 0 && TcpStream::connect_timeout(&target, PATIENCE).is_ok() {
            return Finding::good(ABOUT, format!("{address} accepts connections"));
        }
    }
    match TcpListener::bind(address) {
        Ok(_) if is_running && address.port() != 0 => Finding::note(
            ABOUT,
            format!("the running gate does not listen on {address}"),
            "restart it if `listen` was changed; flags of its own count more than the settings",
        ),
        Ok(_) => Finding::good(ABOUT, format!("{address} can be listened on")),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            Finding::wrong(ABOUT, format!("this user may not listen on {address}"), THREE_WAYS)
        }
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::wrong(
            ABOUT,
            format!("something else listens on {address}"),
            format!("`ss -ltnp 'sport = :{}'` says who; stop it, or change `listen`", address.port()),
        ),
        Err(error) if error.kind() == ErrorKind::AddrNotAvailable => Finding::wrong(
            ABOUT,
            format!("this machine does not have the address {}", address.ip()),
            "`ip addr` lists those it has; 0.0.0.0 means all",
        ),
        Err(error) => {
            Finding::wrong(ABOUT, format!("{address} can't be listened on: {error}"), "change `listen`")
        }
    }
}

fn directory(about: &'static str, dir: &Path) -> Finding {
    let shown = dir.display();
    let meta = match dir.metadata() {
        Ok(meta) if meta.is_dir() => meta,
        Ok(_) => {
            return Finding::wrong(
                about,
                format!("{shown} is not a directory"),
                "move it away, or name another one in the settings",
            );
        }
        Err(error) if error.kind() == ErrorKind::NotFound => return absent(about, dir),
        Err(error) => {
            return Finding::wrong(
                about,
                format!("{shown} can't be looked at: {error}"),
                "give this user the right to enter the directories above it",
            );
        }
    };
    let me = rustix::process::geteuid().as_raw();
    // Root may write anywhere, and then the gate's own user may not.
    if meta.uid() != me && me == 0 {
        return Finding::note(
            about,
            format!(
                "{shown} belongs to uid {}, and this is root: whether the gate may write there was not tried",
                meta.uid()
            ),
            format!("sudo -u '#{}' condagate doctor …", meta.uid()),
        );
    }
    if let Err(error) = try_to_write(dir) {
        let fix = if meta.uid() == me {
            format!("chmod u+rwx {shown}, and see whether the volume is full or read-only")
        } else {
            format!("chown -R {me} {shown}, or run as uid {}", meta.uid())
        };
        return Finding::wrong(about, format!("this user can't write into {shown}: {error}"), fix);
    }
    if about == "data" && meta.mode() & 0o002 != 0 {
        return Finding::wrong(
            about,
            format!("everybody on this machine can write into {shown}"),
            format!("chmod o-rwx {shown}"),
        );
    }
    Finding::good(about, format!("{shown} can be written to"))
}

fn absent(about: &'static str, dir: &Path) -> Finding {
    let above = dir.ancestors().skip(1).find(|above| above.exists()).unwrap_or(Path::new("/"));
    let shown = dir.display();
    match try_to_write(above) {
        Ok(()) => Finding::good(about, format!("{shown} is not there yet and can be made")),
        Err(error) => Finding::wrong(
            about,
            format!("{shown} is not there, and this user can't make it in {}: {error}", above.display()),
            format!("install -d -o \"$(id -un)\" -m 750 {shown}"),
        ),
    }
}

fn try_to_write(dir: &Path) -> std::io::Result<()> {
    let path = dir.join(format!(".condagate-doctor.{}", std::process::id()));
    let written = std::fs::write(&path, [0; 4096]);
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

fn store(config: &Config) -> Finding {
    const ABOUT: &str = "store";
    const REACH: &str = "see whether the server runs and lets this machine in, and whether `store.mongodb` is right; `condagate db status` tries again";
    let status = block_on(async { Ok::<_, OpenError>(existing(config).await?.status().await?) });
    match status {
        Ok(status) if status.about.schema < SCHEMA => Finding::note(
            ABOUT,
            format!("{} has schema {}, this condagate has {SCHEMA}", status.about.place, status.about.schema),
            "condagate db setup --execute",
        ),
        Ok(status) => Finding::good(
            ABOUT,
            format!("{} ({}) has schema {}", status.about.place, status.about.engine, status.about.schema),
        ),
        Err(OpenError::Nothing(file)) => {
            Finding::good(ABOUT, format!("{} is not there yet; the gate makes it", file.display()))
        }
        Err(error) if config.store.is_some() => Finding::wrong(ABOUT, error.to_string(), REACH),
        Err(error) => Finding::wrong(
            ABOUT,
            error.to_string(),
            "the sentence says what to do; a copy of an older schema may lie beside the file",
        ),
    }
}

/// Certificates that can't be used, have ended or end soon; each sentence about one says what to do behind a semicolon.
fn certificates(config: &Config, commands: &Commands) -> Vec<Finding> {
    const ABOUT: &str = "certificate";
    let finding = |make: fn(&'static str, String, String) -> Finding, sentence: &str| {
        let (says, fix) = sentence.split_once("; ").unwrap_or((sentence, "look at `tls` in the settings"));
        make(ABOUT, says.to_owned(), fix.to_owned())
    };
    if config.tls.certificates.is_empty() {
        let is_before = config.public_url.as_ref().is_some_and(|url| url.url.reveal().scheme() == "https");
        let before = "TLS ends before the gate; its certificate is not looked at";
        return vec![Finding::skipped(ABOUT, if is_before { before } else { "the gate speaks plain HTTP" })];
    }
    match (commands.certificates)(config) {
        Err(error) => error.to_string().lines().map(|line| finding(Finding::wrong, line)).collect(),
        Ok(troubles) if troubles.is_empty() => {
            vec![Finding::good(ABOUT, format!("{} can be used", config.tls.certificates.len()))]
        }
        Ok(troubles) => troubles.iter().map(|trouble| finding(Finding::wrong, trouble)).collect(),
    }
}
