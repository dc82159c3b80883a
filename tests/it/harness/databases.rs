//! Databases of one test's own on the MongoDB-protocol server that tests share, with authentication on.
//!
//! Belongs here: making them, and who lives in them. Does not: the server (`mongodb`), one that can be killed (`server`).

use condagate::auth::token;
use condagate::secret::Secret;
use condagate::store::Store;
use condagate::store::mongo::{Mongo, Settings, setup};
use tokio::runtime::Runtime;

use super::people::Society;
use super::{Gate, mongodb, secrets};

/// See the module's description.
pub struct Databases {
    uri: &'static str,
    settings: Settings,
}

impl Databases {
    /// Set up; `None` where there is no server and none is needed.
    pub fn new() -> Option<Self> {
        let uri = mongodb::uri()?;
        let database = format!("it_{}", token::new_id());
        let settings = Settings {
            uri: Secret::new(uri.to_owned()),
            queue_database: format!("{database}_mq"),
            database,
            ca_file: None,
        };
        let runtime = Runtime::new().expect("a runtime");
        runtime.block_on(setup::setup(&settings, true)).expect("databases");
        Some(Self { uri, settings })
    }

    /// The lines of configuration with which a gate uses them.
    pub fn config(&self) -> String {
        let Settings { database, queue_database, .. } = &self.settings;
        format!(
            "store: {{mongodb: {{uri: \"{}\", database: {database}, queue_database: {queue_database}}}}}\n",
            self.uri
        )
    }

    /// Says that a gate knows what it must not tell.
    pub fn used_by(&self, gate: &Gate) {
        for form in [mongodb::PASSWORD, self.uri] {
            secrets::learn(&gate.home().data().display().to_string(), form);
        }
    }

    /// Who lives there, by the clock of a gate that uses them.
    pub fn society(&self, gate: &Gate) -> Society {
        self.used_by(gate);
        let runtime = Runtime::new().expect("a runtime");
        let store = runtime.block_on(Mongo::open(&self.settings)).expect("a store");
        Society::in_store(runtime, Store::new(store), Some(gate.now()))
    }
}
