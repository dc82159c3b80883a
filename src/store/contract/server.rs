//! A server that speaks MongoDB's protocol, for tests: one for the whole test process, with authentication on.
//!
//! `$CONDAGATE_TEST_MONGODB_URI` names one that is there already. Otherwise `secantusd-py` is started, from
//! `.venv/bin` (made by `tests/run`), from beside `$CONDAGATE_TEST_PYTHON`, or from the path. With neither, tests are skipped with
//! a loud line, or fail where `CONDAGATE_REQUIRE_MONGODB=1`.
//!
//! Belongs here: finding and starting it, its user. Does not: what is asked of it. `tests/it` includes this file too.

use std::io::Write as _;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::Duration;

use ::mongodb::bson::doc;
use parking_lot::{Condvar, Mutex};

/// Connection string of the server, credentials included; `None` where there is none and none is needed.
pub fn uri() -> Option<&'static str> {
    static URI: OnceLock<Option<String>> = OnceLock::new();
    URI.get_or_init(|| std::env::var("CONDAGATE_TEST_MONGODB_URI").ok().or_else(start)).as_deref()
}

/// Characters that have to be escaped in a connection string are in it on purpose.
pub const PASSWORD: &str = "p@ss/w:rd%7";
const ESCAPED: &str = "p%40ss%2Fw%3Ard%257";

fn start() -> Option<String> {
    let Some(binary) = find() else {
        let required = std::env::var("CONDAGATE_REQUIRE_MONGODB").is_ok_and(|v| v == "1");
        assert!(!required, "no secantusd-py in .venv/bin or on the path; tests/run makes .venv");
        let line = "\nSKIPPED: no secantusd-py in .venv/bin or on the path, so nothing was tried on MongoDB; run tests/run\n";
        let _nowhere_to_complain = std::io::stderr().write_all(line.as_bytes());
        return None;
    };
    let dir = tempfile::TempDir::with_prefix("condagate-mongodb-").expect("a directory").keep();
    let port = TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port").port();
    let mut open = run(&binary, &dir, port, false);
    make_user(port);
    drop(open.stdin.take());
    open.wait().expect("the end of the server");
    // The directory stays for the second run, which ends with this process and takes it away.
    std::mem::forget(run(&binary, &dir, port, true));
    Some(format!("mongodb://gate:{ESCAPED}@127.0.0.1:{port}/"))
}

/// The server's program, where there is one.
pub fn find() -> Option<PathBuf> {
    let name = "secantusd-py";
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let beside =
        std::env::var_os("CONDAGATE_TEST_PYTHON").map(|python| Path::new(&python).with_file_name(name));
    let path = std::env::var_os("PATH").unwrap_or_default();
    let on_path = std::env::split_paths(&path).map(|dir| dir.join(name));
    let mut all = beside.into_iter().chain([root.join(".venv/bin").join(name)]).chain(on_path);
    all.find(|file| file.is_file())
}

/// Starts it below a shell that ends it when its own standard input ends: with this process, however that ends.
fn run(binary: &Path, dir: &Path, port: u16, with_auth: bool) -> Child {
    let script = "\"$0\" --host 127.0.0.1 --port \"$2\" --storage-path \"$1/data\" --log-level ERROR $3 </dev/null & server=$!; \
        cat >/dev/null; kill $server; wait $server; [ -z \"$3\" ] || rm -rf \"$1\"";
    let mut child = Command::new("sh")
        .args(["-c", script])
        .arg(binary)
        .arg(dir)
        .arg(port.to_string())
        .arg(if with_auth { "--auth" } else { "" })
        .current_dir(dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting secantusd-py");
    if listens(port) {
        return child;
    }
    let _it_never_worked = child.kill().and_then(|()| child.wait());
    panic!("secantusd-py did not listen within a minute");
}

/// Waits up to a minute until somebody listens on a port.
pub fn listens(port: u16) -> bool {
    let (never, lock) = (Condvar::new(), Mutex::new(()));
    (0..600).any(|_| {
        let open = TcpStream::connect(("127.0.0.1", port)).is_ok();
        let _timed_out = (!open).then(|| never.wait_for(&mut lock.lock(), Duration::from_millis(100)));
        open
    })
}

fn make_user(port: u16) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let client =
            mongodb::Client::with_uri_str(format!("mongodb://127.0.0.1:{port}/")).await.expect("a client");
        let create = doc! {"createUser": "gate", "pwd": PASSWORD, "roles": ["root"]};
        client.database("admin").run_command(create).await.expect("a user");
    });
}
