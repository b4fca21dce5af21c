//! Parcels from one shard to another, on one thread: what the channel costs when nobody else is at it.

use std::{hint::black_box, sync::Arc};

use ringway::{
    base::ShardId,
    engine::{Parcel, Tell},
    shell::{
        mailbox::{Courier, Mailbox, mailboxes},
        waker::Waker,
    },
};

use crate::{Work, native, ready};

/// The configuration's default.
const CAPACITY: usize = 8192;
const PARCELS: usize = 64;

/// Sixty-four publications posted in one turn and taken in another, the receiver awake.
pub fn post_and_take_64() -> Work {
    let wakers = [waker(), waker()];
    let mut shards = mailboxes(&wakers, CAPACITY).into_iter();
    let (Some((_, mut from)), Some((to, _))) = (shards.next(), shards.next()) else {
        unreachable!("a mailbox for each waker")
    };
    let message = Arc::new(native::message(128));
    let publication =
        move || Parcel::Tell(Tell::Published { message: message.clone(), except: None, received_us: 0 });
    ready(move || post_and_take(&mut from, &to, &publication))
}

fn waker() -> Waker {
    Waker::new().expect("an eventfd can be had")
}

fn post_and_take(from: &mut Courier, to: &Mailbox, parcel: &dyn Fn() -> Parcel) {
    for _ in 0..PARCELS {
        from.post(ShardId(1), parcel());
    }
    from.dispatch();
    let mut taken = 0;
    while let Some(tell) = to.tell() {
        drop(black_box(tell));
        taken += 1;
    }
    assert_eq!(taken, PARCELS);
}
