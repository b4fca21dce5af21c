//! The bodies of the backend's API: what a POST asks, and what is answered about messages. The rest of its answers are
//! plain structures that the engine has written.

mod decode;
mod encode;

pub use decode::{
    Disconnect, Disconnection, Posted, Publication, UserRooms, disconnect, posted, publication, request,
    user_rooms,
};
pub use encode::{answered, page, published, result};
