//! Tasks, timers and virtual time on one thread: nothing happens but what the seed decides.

use std::cell::{Cell, RefCell};
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use futures_util::future::{FutureExt, LocalBoxFuture};

use crate::time::Instant;

pub(crate) type TaskId = usize;
type Woken = Arc<Mutex<Vec<TaskId>>>;

pub(crate) struct Executor {
    now: Cell<Instant>,
    timers: RefCell<BinaryHeap<Reverse<Timer>>>,
    timers_set: Cell<u64>,
    tasks: RefCell<Vec<Task>>,
    woken: Woken,
}

struct Task {
    /// None while it is polled, and once it is over.
    future: Option<LocalBoxFuture<'static, ()>>,
    waker: Waker,
    frozen_until: Instant,
    killed: bool,
}

struct TaskWaker {
    task: TaskId,
    woken: Woken,
}

impl Wake for TaskWaker {
    fn wake(self: Arc<Self>) {
        lock(&self.woken).push(self.task);
    }
}

fn lock(woken: &Woken) -> std::sync::MutexGuard<'_, Vec<TaskId>> {
    woken.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What happens at a time; of two at the same time, the one that was set first.
struct Timer {
    at: Instant,
    order: u64,
    event: Box<dyn FnOnce()>,
}

impl PartialEq for Timer {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Timer {}

impl PartialOrd for Timer {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Timer {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.order).cmp(&(other.at, other.order))
    }
}

impl Executor {
    pub(crate) fn new(start: Instant) -> Self {
        Self {
            now: Cell::new(start),
            timers: RefCell::default(),
            timers_set: Cell::new(0),
            tasks: RefCell::default(),
            woken: Woken::default(),
        }
    }

    pub(crate) fn now(&self) -> Instant {
        self.now.get()
    }

    pub(crate) fn at(&self, at: Instant, event: impl FnOnce() + 'static) {
        let order = self.timers_set.get();
        self.timers_set.set(order + 1);
        let at = at.max(self.now());
        self.timers.borrow_mut().push(Reverse(Timer { at, order, event: Box::new(event) }));
    }

    /// Resolves after `duration`, however short, not at once.
    pub(crate) fn sleep(&self, duration: Instant) -> Reply<()> {
        let reply = Reply::default();
        let done = reply.clone();
        self.at(self.now() + duration, move || {
            done.complete(());
        });
        reply
    }

    /// The id that the next task gets.
    pub(crate) fn next_task(&self) -> TaskId {
        self.tasks.borrow().len()
    }

    pub(crate) fn spawn(&self, future: impl Future<Output = ()> + 'static) -> TaskId {
        let mut tasks = self.tasks.borrow_mut();
        let task = tasks.len();
        let waker = Waker::from(Arc::new(TaskWaker { task, woken: Arc::clone(&self.woken) }));
        tasks.push(Task { future: Some(future.boxed_local()), waker, frozen_until: 0, killed: false });
        lock(&self.woken).push(task);
        task
    }

    /// Drops a task where it stands.
    pub(crate) fn kill(&self, task: TaskId) {
        let future = self.tasks.borrow_mut().get_mut(task).and_then(|task| {
            task.killed = true;
            task.future.take()
        });
        drop(future);
    }

    /// Stops a task's progress until a time: what it waits for happens, and it learns of it later.
    pub(crate) fn freeze(&self, task: TaskId, until: Instant) {
        if let Some(task) = self.tasks.borrow_mut().get_mut(task) {
            task.frozen_until = task.frozen_until.max(until);
        }
    }

    /// Lets a task that stands still go on at a time.
    pub(crate) fn thaw(&self, task: TaskId, at: Instant) {
        if let Some(frozen) = self.tasks.borrow_mut().get_mut(task).filter(|task| task.frozen_until > at) {
            frozen.frozen_until = at;
            let waker = frozen.waker.clone();
            self.at(at, move || waker.wake());
        }
    }

    /// Runs all that happens up to `end`; `pick` chooses which of so many runnable tasks goes next.
    pub(crate) fn run_until(&self, end: Instant, pick: impl Fn(usize) -> usize, stop: impl Fn() -> bool) {
        let mut runnable = Vec::new();
        while !stop() {
            runnable.append(&mut lock(&self.woken));
            if !runnable.is_empty() {
                let next = pick(runnable.len()).min(runnable.len() - 1);
                let task = runnable.swap_remove(next);
                self.poll(task);
                continue;
            }
            let due = self.timers.borrow().peek().is_some_and(|Reverse(timer)| timer.at <= end);
            if !due {
                self.now.set(end.max(self.now()));
                return;
            }
            let timer = self.timers.borrow_mut().pop();
            if let Some(Reverse(timer)) = timer {
                self.now.set(timer.at);
                (timer.event)();
            }
        }
    }

    /// Drops every task and timer, and with them what they hold of the world.
    pub(crate) fn clear(&self) {
        let tasks = std::mem::take(&mut *self.tasks.borrow_mut());
        let timers = std::mem::take(&mut *self.timers.borrow_mut());
        drop((tasks, timers));
    }

    fn poll(&self, id: TaskId) {
        let (mut future, waker) = {
            let mut tasks = self.tasks.borrow_mut();
            let Some(task) = tasks.get_mut(id) else { return };
            if task.frozen_until > self.now() {
                let (until, waker) = (task.frozen_until, task.waker.clone());
                drop(tasks);
                self.at(until, move || waker.wake());
                return;
            }
            let Some(future) = task.future.take() else { return };
            (future, task.waker.clone())
        };
        if future.as_mut().poll(&mut Context::from_waker(&waker)).is_pending()
            && let Some(task) = self.tasks.borrow_mut().get_mut(id)
            && !task.killed
        {
            task.future = Some(future);
        }
    }
}

/// A value that arrives once; the first to arrive counts.
pub(crate) struct Reply<T>(Rc<RefCell<Slot<T>>>);

struct Slot<T> {
    value: Option<T>,
    completed: bool,
    waker: Option<Waker>,
}

impl<T> Default for Reply<T> {
    fn default() -> Self {
        Self(Rc::new(RefCell::new(Slot { value: None, completed: false, waker: None })))
    }
}

impl<T> Clone for Reply<T> {
    fn clone(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<T> Reply<T> {
    /// Whether this was the first.
    pub(crate) fn complete(&self, value: T) -> bool {
        let waker = {
            let mut slot = self.0.borrow_mut();
            if slot.completed {
                return false;
            }
            slot.completed = true;
            slot.value = Some(value);
            slot.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
        true
    }
}

impl<T> Future for Reply<T> {
    type Output = T;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<T> {
        let mut slot = self.0.borrow_mut();
        match slot.value.take() {
            Some(value) => Poll::Ready(value),
            None => {
                slot.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}
