//! The tools of the end-to-end tests. [`Host`] and [`Function`] run the built functions behind a Lambda
//! Runtime API. A [`FaultProxy`] stands between the functions and AWS and injects faults. [`Deployment`]
//! combines them with a local AWS. [`LocalDynamo`] has the table on a second emulator of DynamoDB.
//!
//! The local AWS itself, `cargo lambda watch` and the signed samples come from the crate `local_stack`.
//! [`valid_envelope`] checks a message against `events/envelope.schema.json`; [`properties`] checks the rules
//! that hold for every input.

#![expect(clippy::unwrap_used, clippy::missing_panics_doc, reason = "a test fails by panicking")]

mod deployment;
mod dynoxide;
mod envelope;
mod host;
pub mod properties;
mod proxy;
mod stored;
pub mod usage;

pub use deployment::{Deployment, named, signed_event, umaaas_event};
pub use dynoxide::LocalDynamo;
pub use envelope::{provider_bytes, valid_envelope};
pub use host::{Answer, Exchange, Function, Host, binaries, post};
pub use proxy::{Call, Fault, FaultProxy, Rule};
pub use stored::items_with;

/// The worked example in `functions/adding-a-provider.md`, compiled and run.
#[cfg(doctest)]
#[doc = include_str!("../../functions/adding-a-provider.md")]
mod adding_a_provider {}

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use local_stack::ministack::Ministack;
use local_stack::stack::Stack;
use local_stack::tools::Tools;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A lock for this machine: either many tests share it, or one test that measures time has it alone.
static MACHINE: RwLock<()> = RwLock::const_new(());

#[derive(Debug)]
enum Share {
    WithOthers { _guard: RwLockReadGuard<'static, ()> },
    Alone { _guard: RwLockWriteGuard<'static, ()> },
}

/// A running local AWS with a table and queues. Dropping the value ends it.
#[derive(Debug)]
pub struct LocalAws {
    /// The table and the queues.
    pub stack: Stack,
    _ministack: Ministack,
    _share: Share,
}

impl LocalAws {
    /// Starts a local AWS on a free port.
    pub async fn start() -> Self {
        Self::sharing(Share::WithOthers { _guard: MACHINE.read().await }).await
    }

    /// Like [`start`](Self::start), for a test that measures time: no other test of this binary has a local AWS
    /// until this value is dropped.
    pub async fn start_alone() -> Self {
        Self::sharing(Share::Alone { _guard: MACHINE.write().await }).await
    }

    async fn sharing(share: Share) -> Self {
        let tools = Tools::install().await.unwrap();
        let ministack = Ministack::start(&tools, 0).await.unwrap();
        let stack = Stack::create(&ministack.endpoint(), "").await.unwrap();
        Self { stack, _ministack: ministack, _share: share }
    }
}

/// A text that is unique across all calls and processes on this machine.
pub fn unique() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("{}-{}-{count}", std::process::id(), jiff::Timestamp::now().as_microsecond())
}

/// Waits until `check` returns true; panics when that takes longer than `within`.
pub async fn wait_for(what: &str, within: Duration, mut check: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + within;
    while !check().await {
        assert!(Instant::now() < deadline, "{what}: not within {within:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
