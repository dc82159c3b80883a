//! What two processes of the gate say to each other when one takes over: JSON, one message a line, and sockets beside it.
//!
//! Belongs here: messages and their way. Does not: what is done about them (`upgrade`, `serve`).

use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::TcpListener;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::Duration;

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags,
};
use serde::{Deserialize, Serialize};

use super::data_dir::LAYOUT;
use crate::proxy::listen::Bound;

/// Another one for every change of what is said.
const LANGUAGE: u32 = 1;
/// No message is longer.
const LONGEST: usize = 4096;
/// More sockets than anybody listens on, and fewer than the system takes at once.
const MOST: usize = 128;
/// What each socket that is passed is.
const PLAIN: u8 = b'p';
const TLS: u8 = b't';
const HEIR: u8 = b'h';

/// One message.
#[derive(Debug, Serialize, Deserialize)]
pub(super) enum Word {
    /// From the new process: it has read its settings and has all its sockets.
    Hello(Hello),
    /// From the old one: the data directory is free.
    Yours,
    /// From the new one: clients are served.
    Serving,
}

/// What the new process is.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Hello {
    /// Of the program.
    pub(super) version: String,
    /// Of what the two say to each other, and of what is said in front of connections that are passed on.
    language: u32,
    /// Of the data directory.
    data: u32,
    /// Of `cache.db`'s tables.
    index: i64,
    /// Of the store's.
    store: i64,
}

impl Hello {
    pub(super) fn own() -> Self {
        let (index, store) = (crate::cache::INDEX_SCHEMA, crate::store::engine::SCHEMA);
        Self { version: env!("CARGO_PKG_VERSION").to_owned(), language: LANGUAGE, data: LAYOUT, index, store }
    }

    /// Whether both can have the data open, one after the other and for a moment at one time.
    pub(super) fn fits(&self, old: &Self) -> Result<(), String> {
        let layouts = [
            ("the hand-over", i64::from(self.language), i64::from(old.language)),
            ("the data directory", i64::from(self.data), i64::from(old.data)),
            ("cache.db", self.index, old.index),
            ("the store", self.store, old.store),
        ];
        match layouts.into_iter().find(|(_, new, old)| new != old) {
            None => Ok(()),
            Some((what, new, old)) => Err(format!(
                "version {} has another layout of {what} ({old} becomes {new}), which this one can't read; stop and start instead \
                 (`systemctl restart condagate`). With condagate.socket, connections wait meanwhile and none is refused",
                self.version
            )),
        }
    }
}

/// One end of the conversation. Everything blocks, so it runs where it may.
pub(super) struct Line(UnixStream);

type Said<T> = Result<T, String>;

impl Line {
    pub(super) const fn new(stream: UnixStream) -> Self {
        Self(stream)
    }

    /// That of a process whose standard input it is.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn of_stdin() -> std::io::Result<Self> {
        let stdin = std::io::stdin().as_fd().try_clone_to_owned()?;
        let stream = UnixStream::from(stdin);
        // Fails where it is no socket.
        stream.peer_addr()?;
        Ok(Self(stream))
    }

    /// The next message.
    pub(super) async fn hear(self, patience: Duration) -> Said<(Self, Word)> {
        off_worker(move || {
            let word = self.hear_now(patience)?;
            Ok((self, word))
        })
        .await
    }

    pub(super) async fn say(self, word: Word) -> Said<Self> {
        off_worker(move || {
            self.say_now(&word)?;
            Ok(self)
        })
        .await
    }

    /// Passes sockets.
    pub(super) async fn give(self, sockets: Vec<Bound>, heir: UnixListener) -> Said<Self> {
        off_worker(move || {
            self.give_now(sockets, heir).map_err(|error| format!("the sockets can't be passed: {error}"))?;
            Ok(self)
        })
        .await
    }

    /// See [`Line::hear`]; blocks.
    pub(super) fn hear_now(&self, patience: Duration) -> Said<Word> {
        let silent = |error: std::io::Error| format!("the other process said nothing: {error}");
        self.0.set_read_timeout(Some(patience)).map_err(silent)?;
        let (mut line, mut byte) = (Vec::new(), [0]);
        // Byte by byte: what follows may be sockets.
        while line.len() < LONGEST {
            if (&self.0).read(&mut byte).map_err(silent)? == 0 {
                return Err("the other process ended before it was done".to_owned());
            }
            if byte == *b"\n" {
                return serde_json::from_slice(&line)
                    .map_err(|error| format!("it is not understood: {error}"));
            }
            line.push(byte[0]);
        }
        Err("the other process says too much".to_owned())
    }

    /// See [`Line::say`]; blocks.
    pub(super) fn say_now(&self, word: &Word) -> Said<()> {
        let mut text = serde_json::to_vec(word).map_err(|error| error.to_string())?;
        text.push(b'\n');
        (&self.0).write_all(&text).map_err(|error| format!("the other process does not listen: {error}"))
    }

    fn give_now(&self, sockets: Vec<Bound>, heir: UnixListener) -> std::io::Result<()> {
        let mut kinds: Vec<u8> = sockets.iter().map(|one| if one.is_tls() { TLS } else { PLAIN }).collect();
        let mut handles: Vec<OwnedFd> = sockets.into_iter().map(|one| one.into_listener().into()).collect();
        kinds.push(HEIR);
        handles.push(heir.into());
        let borrowed: Vec<_> = handles.iter().map(AsFd::as_fd).collect();
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut beside = SendAncillaryBuffer::new(&mut space);
        if borrowed.len() > MOST || !beside.push(SendAncillaryMessage::ScmRights(&borrowed)) {
            return Err(std::io::Error::other("there are too many"));
        }
        rustix::net::sendmsg(&self.0, &[IoSlice::new(&kinds)], &mut beside, SendFlags::NOSIGNAL)?;
        Ok(())
    }

    /// Takes the sockets that the other process passes; blocks.
    pub(super) fn take_now(&self, patience: Duration) -> Said<(Vec<Bound>, UnixListener)> {
        let failed = |error: std::io::Error| format!("the sockets did not come: {error}");
        self.0.set_read_timeout(Some(patience)).map_err(failed)?;
        let mut kinds = [0; MOST];
        let mut space = vec![MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MOST))];
        let mut beside = RecvAncillaryBuffer::new(&mut space);
        let mut text = [IoSliceMut::new(&mut kinds)];
        let flags = RecvFlags::CMSG_CLOEXEC;
        let received = rustix::net::recvmsg(&self.0, &mut text, &mut beside, flags);
        let count = received.map_err(|error| failed(error.into()))?.bytes;
        let mut handles = Vec::new();
        for message in beside.drain() {
            if let RecvAncillaryMessage::ScmRights(passed) = message {
                handles.extend(passed);
            }
        }
        sort(&kinds[..count], handles).map_err(failed)
    }
}

fn sort(kinds: &[u8], handles: Vec<OwnedFd>) -> std::io::Result<(Vec<Bound>, UnixListener)> {
    let short = || std::io::Error::other("the other process ended, or some are missing");
    if kinds.len() != handles.len() {
        return Err(short());
    }
    let (mut sockets, mut heir) = (Vec::new(), None);
    for (kind, handle) in kinds.iter().zip(handles) {
        match *kind {
            HEIR => heir = Some(UnixListener::from(handle)),
            TLS => sockets.push(Bound::given(TcpListener::from(handle))?.with_tls()),
            _ => sockets.push(Bound::given(TcpListener::from(handle))?),
        }
    }
    let heir = heir.ok_or_else(short)?;
    heir.set_nonblocking(true)?;
    Ok((sockets, heir))
}

async fn off_worker<T: Send + 'static>(work: impl FnOnce() -> Said<T> + Send + 'static) -> Said<T> {
    tokio::task::spawn_blocking(work).await.map_err(|error| error.to_string())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_sockets_arrive() {
        let (one, other) = UnixStream::pair().unwrap();
        let (old, new) = (Line::new(one), Line::new(other));
        new.say_now(&Word::Hello(Hello::own())).unwrap();
        let Word::Hello(hello) = old.hear_now(OPEN).unwrap() else { panic!("something else") };
        assert!(hello.fits(&Hello::own()).is_ok());
        let refused = hello.fits(&Hello { store: 0, ..Hello::own() }).unwrap_err();
        assert!(refused.contains("the store") && refused.contains("systemctl restart"), "{refused}");
        let bind = || Bound::given(TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
        let (plain, tls) = (bind(), bind().with_tls());
        let dir = tempfile::tempdir().unwrap();
        let heir = UnixListener::bind(dir.path().join("heir")).unwrap();
        let sent = [(plain.address(), false), (tls.address(), true)];
        old.give_now(vec![plain, tls], heir).unwrap();
        old.say_now(&Word::Yours).unwrap();
        let (sockets, _heir) = new.take_now(OPEN).unwrap();
        assert_eq!(sockets.iter().map(|one| (one.address(), one.is_tls())).collect::<Vec<_>>(), sent);
        assert!(matches!(new.hear_now(OPEN).unwrap(), Word::Yours));
        drop(old);
        assert!(new.hear_now(OPEN).unwrap_err().contains("ended"));
        assert!(new.take_now(OPEN).is_err());
    }

    const OPEN: Duration = Duration::from_secs(20);
}
