//! The protocol's own code, started and followed to its end.

use std::rc::Rc;

use protocol::connection::Connection;
use protocol::invocation::{self as budget, Kind};
use protocol::notification::Notification;
use protocol::ports::{Clock, Connections};
use protocol::recalculation::Reason;
use protocol::receive::{self, Verdict};
use protocol::schedule::DATABASE_TIMEOUT;
use protocol::setup::SetUp;
use protocol::table::Query;
use protocol::{refresh, setup, sweep};

use crate::fact::Deed;
use crate::subject::{Invocation, Purpose, connection_id};
use crate::world::executor::Reply;
use crate::world::isolate::Isolate;
use crate::world::life::Life;
use crate::world::start::{Heard, Start};
use crate::world::state::World;

/// Starts an invocation.
pub(crate) fn start(world: &Rc<World>, start: Start) {
    match start {
        Start::Receive { connection, notification, heard } => {
            let purpose = connection.map_or(Purpose::Forged, Purpose::Receive);
            let nothing = OnDeath(heard.clone());
            spawn(world, purpose, async move |isolate| {
                let _nothing = nothing;
                receive(isolate, &notification, &heard).await;
            });
        }
        Start::SetUp(connection) => spawn(world, Purpose::Setup(connection), async move |isolate| {
            set_up(isolate, connection).await;
        }),
        Start::PressButton(connection) => spawn(world, Purpose::Button(connection), async move |isolate| {
            press_button(isolate, connection).await;
        }),
        Start::Sweep(part) => spawn(world, Purpose::Sweep, async move |isolate| {
            let answer = sweep::sweep(isolate, &invocation(isolate, Kind::Sweep), part).await;
            isolate.tell(Deed::Sweeps(&answer));
        }),
    }
}

fn spawn(world: &Rc<World>, purpose: Purpose, body: impl AsyncFnOnce(&Isolate) + 'static) {
    let number = world.number_invocation();
    let life = Life {
        invocation: Invocation { number, purpose },
        instance: world.instance_of(number),
        task: world.executor.next_task(),
        crashed: Default::default(),
        leases: Default::default(),
        renewals: Default::default(),
        looked_up: Default::default(),
        is_refused: Default::default(),
    };
    let isolate = Isolate { world: Rc::clone(world), life: Rc::new(life) };
    isolate.tell(Deed::Starts { skew: isolate.life.instance.skew });
    world.executor.spawn(async move {
        body(&isolate).await;
        isolate.tell(Deed::Ends);
    });
}

async fn receive(isolate: &Isolate, notification: &Notification, heard: &Reply<Heard>) {
    isolate.tell(Deed::Receives(notification));
    let invocation = invocation(isolate, Kind::Targeted);
    let verdict = receive::receive(isolate, &invocation, notification).await;
    isolate.tell(Deed::Judges { notification, verdict: &verdict });
    heard.complete(match verdict {
        Verdict::Opened(_)
        | Verdict::OpenedOrphan(_)
        | Verdict::Changed(_)
        | Verdict::Orphan(_)
        | Verdict::Late(_) => Heard::Delivered,
        Verdict::Unknown => Heard::Unknown,
        Verdict::Unavailable => Heard::Unavailable,
    });
    receive::follow_up(isolate, &invocation, notification, verdict).await;
}

async fn set_up(isolate: &Isolate, connection: usize) {
    let invocation = invocation(isolate, Kind::Targeted);
    let Some(row) = read(isolate, connection).await else { return };
    for answer in setup::setup(isolate, &invocation, &[row]).await {
        isolate.tell(Deed::SetsUp(&answer));
        if let Ok(SetUp::Opened(renewed)) = answer {
            renewed.follow_up(isolate, &invocation, Reason::ChannelOpened).await;
        }
    }
}

async fn press_button(isolate: &Isolate, connection: usize) {
    let invocation = invocation(isolate, Kind::Targeted);
    let Some(row) = read(isolate, connection).await else { return };
    let refreshed = refresh::refresh(isolate, &invocation, &row).await;
    isolate.tell(Deed::Refreshes(&refreshed));
    refresh::follow_up(isolate, &invocation, refreshed).await;
}

fn invocation(isolate: &Isolate, kind: Kind) -> budget::Invocation {
    budget::Invocation::new(kind, isolate.now())
}

async fn read(isolate: &Isolate, connection: usize) -> Option<Connection> {
    let rows = isolate.select(Query::by_id(connection_id(connection)), DATABASE_TIMEOUT).await;
    rows.ok()?.into_iter().next()?.ok()
}

/// Google learns that an invocation is gone.
struct OnDeath(Reply<Heard>);

impl Drop for OnDeath {
    fn drop(&mut self) {
        self.0.complete(Heard::Nothing);
    }
}
