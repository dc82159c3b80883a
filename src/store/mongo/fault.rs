//! What the driver and the server say, as the store says it.
//!
//! Messages of the server can have values of documents in them, and those of the driver parts of the connection string; only
//! codes and names of kinds are passed on.
//!
//! Belongs here: this translation. Does not: what to do about it.

use mongodb::error::{Error, ErrorKind, WriteFailure};

use crate::store::error::StoreError;

/// A unique index refused.
const DUPLICATE: i32 = 11000;
/// There is no such collection.
const NO_COLLECTION: i32 = 26;

/// The sentence for an error.
pub(super) fn of(error: &Error) -> StoreError {
    if is_duplicate(error) {
        return StoreError::Conflict { what: "such a document" };
    }
    let why = match &*error.kind {
        ErrorKind::ServerSelection { .. } => {
            "no MongoDB server that can take writes answered; check its address, and TLS on both sides"
                .to_owned()
        }
        ErrorKind::Io(error) => format!("the connection to MongoDB broke: {}", error.kind()),
        ErrorKind::ConnectionPoolCleared { .. } => "the connection to MongoDB broke".to_owned(),
        ErrorKind::Authentication { .. } => "MongoDB refused the user name or password".to_owned(),
        ErrorKind::InvalidTlsConfig { .. } => "the TLS options for MongoDB can't be used".to_owned(),
        ErrorKind::DnsResolve { .. } => "the name of the MongoDB server can't be resolved".to_owned(),
        ErrorKind::Command(refused) if refused.code == 13 => {
            "MongoDB doesn't let this user do that; it needs the role `readWrite` on both databases"
                .to_owned()
        }
        ErrorKind::Command(refused) => refused_with(&refused.code_name, refused.code),
        ErrorKind::Write(WriteFailure::WriteError(refused)) => {
            refused_with(refused.code_name.as_deref().unwrap_or("error"), refused.code)
        }
        ErrorKind::Write(WriteFailure::WriteConcernError(refused)) => {
            format!("MongoDB did not confirm the write: {} ({})", refused.code_name, refused.code)
        }
        _ => "the MongoDB driver gave up".to_owned(),
    };
    StoreError::Unavailable { why }
}

fn refused_with(name: &str, code: i32) -> String {
    format!("MongoDB refused: {name} ({code})")
}

fn is_duplicate(error: &Error) -> bool {
    match &*error.kind {
        ErrorKind::Write(WriteFailure::WriteError(refused)) => refused.code == DUPLICATE,
        ErrorKind::Command(refused) => refused.code == DUPLICATE,
        ErrorKind::InsertMany(failed) => {
            failed.write_errors.iter().flatten().any(|refused| refused.code == DUPLICATE)
        }
        _ => false,
    }
}

/// Whether an answer to a batch of updates says that one of them was too late with a new document.
pub(super) fn is_duplicate_code(code: i32) -> bool {
    code == DUPLICATE
}

/// Whether the error only says that there is no such collection.
pub(super) fn is_no_collection(error: &Error) -> bool {
    matches!(&*error.kind, ErrorKind::Command(refused) if refused.code == NO_COLLECTION)
}
