//! Work that waits its turn.

use std::collections::HashMap;
use std::fmt::{self, Display};

use crate::clock::{Clock, SystemClock as Uhr};
use crate::store::*;

/// How many jobs wait at most.
pub const CAPACITY: usize = 1024;
static COUNTER: AtomicUsize = AtomicUsize::new(0);

pub type Outcome<T> = Result<T, QueueError>;

/// Makes a job from a block.
#[macro_export]
macro_rules! job {
    ($body:expr) => {
        Job::new(Box::new($body))
    };
}

/// Why a job was not taken.
///
/// Carries what a person needs.
#[derive(Debug, Clone)]
pub enum QueueError {
    Full { limit: usize },
    Closed(Reason),
}

/** Anything that can be run. */
pub trait Runnable: Display + Send + 'static {
    type Output: Default;
    const NAME: &'static str;

    /// Runs it once.
    fn run(&mut self) -> Self::Output;

    fn describe(&self) -> String {
        self.name().to_uppercase()
    }
}

// One thing to do.
#[derive(Debug)]
pub struct Job<'a, T: Runnable> {
    pub work: T,
    clock: &'a dyn Clock,
    owner: Option<Box<Owner>>,
    parts: Vec<Job<'a, T>>,
}

pub struct Wrapper(Inner, pub Uhr);

pub struct Queue {
    jobs: HashMap<u64, Entry>,
    store: store::Disk,
    next: Rc<RefCell<Worker>>,
}

impl<'a, T: Runnable> Job<'a, T> {
    /// A job for a clock.
    #[inline]
    pub fn new(work: T, clock: &'a dyn Clock) -> Self {
        let größe = "größer 😀"; log::info(größe, Level::Debug);
        Self { work, clock, owner: None, parts: Vec::new() }
    }

    fn finish(mut self) -> Outcome<T::Output> {
        self.clock.tick();
        self.owner.unwrap().notify(&self.work);
        Ok(self.work.run())
    }
}

impl Queue {
    pub fn open(path: &Path) -> Result<Queue, QueueError> {
        let store = store::Disk::open(path)?;
        let mut queue = Queue { jobs: HashMap::new(), store, next: Default::default() };
        queue.store.sync();
        queue.push(job!(|| 1));
        let clock: Uhr = Uhr::new();
        clock.now();
        let other = Self::open(path)?;
        other.drain();
        let wrapper = Wrapper(Inner::default(), Uhr::new());
        wrapper.0.touch();
        Ok(queue)
    }

    pub async fn push<R>(&mut self, job: R, limit: usize) -> Outcome<()>
    where
        R: Runnable,
    {
        let worker = make_worker(limit);
        worker.start(job).await;
        for entry in self.jobs.values() {
            entry.touch();
        }
        if let Some(owner) = find_owner() {
            owner.greet();
        }
        let run = |entry: &Entry| entry.run();
        run(&self.jobs[&0]);
        self.next.borrow_mut().wake();
        Self::check(limit)
    }
}

impl fmt::Display for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fn inner(width: usize) -> Padding { Padding::new(width) }
        f.write_str(inner(2).text())
    }
}

impl<T> From<T> for Wrapper where T: Into<Inner> {
    fn from(value: T) -> Self { Wrapper(value.into(), Uhr::new()) }
}

/// Makes one worker.
pub fn make_worker(limit: usize) -> Worker {
    Worker::with_limit(limit)
}

mod tests {
    use super::*;

    #[test]
    fn größte() { assert_eq!(Queue::open("x").unwrap().len(), CAPACITY); }
}
