//! The threads: chunks go in in order, are packed side by side, and are written in order.
//!
//! Belongs here: queues, their bounds, and how trouble in one thread ends the others. Does not: what packing means (`pack`).
//!
//! Every chunk has an answer of its own, and the answers stand in a queue in the order of the chunks. The writing thread takes one
//! answer after the other and waits for it. A thread that ends, however, closes its ends of the queues, and whoever waits there
//! wakes up: so a panic anywhere becomes an error of the next call, and nobody waits for ever.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{Builder, JoinHandle};

use parking_lot::Mutex;

use super::sink::{Packed, Sink};
use crate::repodata::error::BuildError;

/// Packs one chunk.
pub(super) type Pack = Box<dyn FnMut(&[u8]) -> io::Result<Packed> + Send>;

type Answer = io::Result<Packed>;

struct Job {
    plain: Vec<u8>,
    answer: SyncSender<Answer>,
}

/// Threads at work on one file.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Dropping them ends the threads.
    queues: Option<(SyncSender<Job>, SyncSender<Receiver<Answer>>)>,
    workers: Vec<JoinHandle<()>>,
    writer: Option<JoinHandle<Result<Sink, BuildError>>>,
}

/// The writing thread has ended early; [`Lanes::finish`] says why.
#[derive(Debug)]
pub(super) struct Ended;

impl Lanes {
    /// Starts a thread for each of `packs`, and one that writes to `sink`.
    pub(super) fn start(sink: Sink, packs: Vec<Pack>) -> Result<Self, BuildError> {
        let path = sink.path().to_owned();
        let no_thread = || BuildError::io("start a thread for", &path);
        // One at work and one waiting for each worker: enough to keep all busy, and a bound for memory.
        let (jobs, queue) = sync_channel::<Job>(packs.len());
        let (order, answers) = sync_channel(2 * packs.len());
        let queue = Arc::new(Mutex::new(queue));
        let mut lanes = Self { queues: Some((jobs, order)), workers: Vec::new(), writer: None };
        for pack in packs {
            let queue = Arc::clone(&queue);
            let worker = Builder::new().name("frame-pack".to_owned()).spawn(move || work(&queue, pack));
            lanes.workers.push(worker.map_err(no_thread())?);
        }
        let writer = Builder::new().name("frame-write".to_owned()).spawn(move || write(sink, &answers));
        lanes.writer = Some(writer.map_err(no_thread())?);
        Ok(lanes)
    }

    /// Hands over the next chunk; waits while too many are under way.
    pub(super) fn send(&self, plain: Vec<u8>) -> Result<(), Ended> {
        let Some((jobs, order)) = &self.queues else { return Err(Ended) };
        let (answer, answers) = sync_channel(1);
        order.send(answers).map_err(|_| Ended)?;
        jobs.send(Job { plain, answer }).map_err(|_| Ended)
    }

    /// Waits until all is written, or says why it could not be. Gives the file back.
    pub(super) fn finish(mut self, path: &Path) -> Result<Sink, BuildError> {
        self.queues = None;
        let result = self.writer.take().map(JoinHandle::join);
        match result {
            Some(Ok(result)) => result,
            _ => Err(panicked(path)),
        }
    }
}

impl Drop for Lanes {
    fn drop(&mut self) {
        self.queues = None;
        // Whoever owns the file may remove it after this: nobody may still write there. Panics were turned into errors already.
        for worker in self.workers.drain(..) {
            let _ = worker.join();
        }
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

fn work(queue: &Mutex<Receiver<Job>>, mut pack: Pack) {
    loop {
        let next = queue.lock().recv();
        let Ok(Job { plain, answer }) = next else { return };
        // Nobody waits for it when the writing thread has ended. Then no more jobs come either.
        let _ = answer.send(pack(&plain));
    }
}

fn write(mut sink: Sink, answers: &Receiver<Receiver<Answer>>) -> Result<Sink, BuildError> {
    while let Ok(answer) = answers.recv() {
        let packed = answer.recv().map_err(|_| panicked(sink.path()))?;
        let packed = packed.map_err(BuildError::io("pack", sink.path()))?;
        sink.append(&packed)?;
    }
    Ok(sink)
}

fn panicked(path: &Path) -> BuildError {
    BuildError::io("pack", path)(io::Error::other("a packing thread panicked"))
}
