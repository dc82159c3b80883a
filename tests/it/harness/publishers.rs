//! A gate with a channel of the team's own, and people who may and may not publish to it.
//!
//! Belongs here: making them, looking into the channel. Does not: the protocols of clients.

use condagate::policy::access::Right;
use serde_json::{Value, json};

use super::people::{Made, Society};
use super::{Answer, Databases, Gate, Home, Request, Setup};

/// See the module's description.
pub struct Publishers {
    /// The gate.
    pub gate: Gate,
    /// Who there is: `root`, a superuser; `ada`, who may write; `bob`, who may read.
    pub society: Society,
    /// Ada's, for `team` and `team/dev`.
    pub writer: Made,
    /// Bob's.
    pub reader: Made,
    /// A superuser's.
    pub root: Made,
}

impl Publishers {
    /// With `team` and `team/dev`, and these lines more of configuration.
    pub fn new(config: &str) -> Self {
        let setup = Setup::rules("# Nothing but what is hosted.\n");
        Self::of(if config.is_empty() { setup } else { setup.config(config) })
    }

    /// The same on the MongoDB-protocol server that tests share, with authentication on, in databases of its own; `None` where there is
    /// no server and none is needed.
    pub fn on_mongodb() -> Option<Self> {
        let databases = Databases::new()?;
        let gate = Setup::rules("# Nothing but what is hosted.\n").config(&databases.config()).start();
        let society = databases.society(&gate);
        Some(Self::with(gate, society))
    }

    /// Of a gate that is about to start.
    pub fn of(setup: Setup) -> Self {
        let gate = setup.start();
        let society = Society::of(gate.home(), gate.now());
        Self::with(gate, society)
    }

    fn with(gate: Gate, society: Society) -> Self {
        society.superuser("root").user("ada").user("bob");
        for channel in ["team", "team/dev"] {
            society.grant(channel, "ada", Right::Write);
            society.grant(channel, "bob", Right::Read);
        }
        let writer = society.token("ada", &["write:team,team/dev"]);
        let reader = society.token("bob", &["read:*"]);
        let root = society.token("root", &["manage:*"]);
        let this = Self { gate, society, writer, reader, root };
        for channel in ["team", "team/dev"] {
            this.create(channel).expect(201);
        }
        this
    }

    /// The same after the gate was stopped and started again.
    pub fn restarted(self) -> Self {
        let Self { gate, society, writer, reader, root } = self;
        let gate = Setup::again(gate.stop()).start();
        Self { gate, society, writer, reader, root }
    }

    /// Makes a channel.
    pub fn create(&self, channel: &str) -> Answer {
        let request = Request::new("POST", "/-/api/v1/channels").json(&json!({"name": channel}));
        self.gate.ask(&request.header("Authorization", &format!("Bearer {}", self.root.secret)))
    }

    /// Asks with Ada's token.
    pub fn ask(&self, request: Request) -> Answer {
        self.gate.ask(&request.header("Authorization", &format!("Bearer {}", self.writer.secret)))
    }

    /// The files of a channel, sorted, each as `subdir/file sha256 labels`.
    pub fn files(&self, channel: &str) -> Vec<String> {
        let page = format!("/-/api/v1/channels/{channel}/-/packages");
        let answer = self.gate.ask(&Request::get(&page).header("X-API-Key", &self.root.secret));
        let page: Value = serde_json::from_slice(&answer.expect(200)).expect("JSON");
        let text = |file: &Value, key: &str| file[key].as_str().expect("a text").to_owned();
        let mut files: Vec<String> = page["packages"]
            .as_array()
            .expect("packages")
            .iter()
            .map(|file| {
                let labels: Vec<&str> =
                    file["labels"].as_array().expect("labels").iter().filter_map(Value::as_str).collect();
                format!(
                    "{}/{} {} {}",
                    text(file, "subdir"),
                    text(file, "file"),
                    text(file, "sha256"),
                    labels.join(",")
                )
            })
            .collect();
        files.sort();
        files
    }

    /// The directories of the gate.
    pub fn home(&self) -> &Home {
        self.gate.home()
    }
}
