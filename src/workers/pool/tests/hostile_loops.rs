//! What an ASGI worker says is input from a stranger: whatever it is, it is taken or found to be a violation, it concerns no
//! other worker, and it takes no more memory than the windows allow.

use std::path::PathBuf;
use std::sync::Arc;
use std::task::{Context, Waker};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::{Strategy, any, prop_oneof, proptest};
use tokio::sync::Notify;

use crate::interface::{Blocks, Depot, ResponseBody, WebSocket};
use crate::protocol::worker::frame::{Header, Kind, RESPONSE_WINDOW};
use crate::workers::client_notes::ClientNotes;
use crate::workers::pool::conversations::{self, ResponseMeans};
use crate::workers::pool::lane::in_flight::Violation;
use crate::workers::pool::tests::loop_lane::Habit;
use crate::workers::pool::tests::loops::{Loops, limits};

/// A pool with a worker that has begun some requests, of which the last offers a WebSocket.
struct Stranger {
    loops: Loops,
    depot: Arc<Depot>,
    notes: Arc<ClientNotes>,
}

const REQUESTS: u32 = 4;

const ANSWER: Kind = Kind::Answer { last: false };

impl Stranger {
    fn new() -> Self {
        let mut loops = Loops::new(1, limits());
        for number in 1..=REQUESTS {
            loops.accept(match number {
                REQUESTS => Habit::Listens,
                _ => Habit::Hangs,
            });
        }
        Self {
            loops,
            depot: Arc::new(Depot::new(PathBuf::new(), 0)),
            notes: ClientNotes::new(Arc::new(Notify::new())),
        }
    }

    fn says(&mut self, kind: Kind, number: u32, payload: &[u8]) -> Result<(), Violation> {
        let is_head = matches!(
            kind,
            Kind::Answer { .. } | Kind::Head | Kind::Accept | Kind::File
        );
        let header = Header {
            length: payload.len(),
            number,
            service: Duration::ZERO,
            kind,
            fields: 0,
            head: if is_head { payload.len() } else { 0 },
        };
        let means = ResponseMeans {
            depot: &self.depot,
            notes: &self.notes,
        };
        let file = (kind == Kind::File).then(|| Err(std::io::Error::other("none")));
        let payload = Bytes::copy_from_slice(payload);
        conversations::hear(&mut self.loops.pool, (1, 0), header, &payload, file, &means)
    }

    /// The body of the response that a request got.
    fn body(&mut self, id: usize) -> ResponseBody {
        let client = self.loops.clients.remove(&id).expect("a client");
        client.response().expect("answered").body
    }
}

fn kind() -> impl Strategy<Value = Kind> {
    (0..15_u8, any::<bool>()).prop_map(|(number, flag)| {
        let mut bytes = [0; 20];
        (bytes[12], bytes[13]) = (number, if flag { 3 } else { 0 });
        Header::read(&bytes).expect("a kind").expect("whole").kind
    })
}

fn payload() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        proptest::collection::vec(any::<u8>(), 0..40),
        any::<u32>().prop_map(|number| number.to_le_bytes().to_vec()),
        (0..100_u32).prop_map(|number| number.to_le_bytes().to_vec()),
        (0..3_usize).prop_map(|index| {
            let heads: [&[u8]; 3] = [b"200 OK", b"101 Switching Protocols", b"\xe8\x03bye"];
            heads[index].to_vec()
        }),
        (0..65_537_usize).prop_map(|length| vec![b'x'; length]),
    ]
}

proptest! {
    #[test]
    fn whatever_a_worker_says_is_taken_or_found_out(
        said in proptest::collection::vec((kind(), 0..REQUESTS + 2, payload()), 0..100),
    ) {
        let mut stranger = Stranger::new();
        stranger.loops.write();
        for (kind, number, payload) in said {
            if stranger.says(kind, number, &payload).is_err() {
                stranger.loops.pool.reject(1);
                break;
            }
        }
        // Each client has an answer when its worker is gone.
        stranger.loops.pool.lane_closed((1, 0));
        stranger.loops.pool.remove(1);
        for id in 0..REQUESTS as usize {
            if stranger.loops.pool.queue.is_empty() {
                stranger.body(id);
            }
        }
    }
}

#[test]
fn more_than_the_window_is_a_violation_unless_no_client_is_left() {
    let mut stranger = Stranger::new();
    assert_eq!(stranger.says(Kind::Head, 1, b"200 OK"), Ok(()));
    let block = vec![b'x'; 64 << 10];
    for _ in 0..RESPONSE_WINDOW / block.len() {
        assert_eq!(stranger.says(Kind::Block, 1, &block), Ok(()));
    }
    assert_eq!(stranger.says(Kind::Block, 1, b"x"), Err(Violation));
    let ResponseBody::Stream(blocks) = stranger.body(0) else {
        panic!("no stream");
    };
    drop::<Blocks>(blocks);
    let notes = stranger.notes.take();
    conversations::pass_on(&mut stranger.loops.pool, notes);
    for _ in 0..100 {
        assert_eq!(stranger.says(Kind::Block, 1, &block), Ok(()));
    }
}

#[test]
fn messages_have_windows_and_texts_are_utf_8() {
    let text = |more| Kind::Message { text: true, more };
    let bytes = |more| Kind::Message { text: false, more };
    let open = || {
        let mut stranger = Stranger::new();
        let head = b"101 Switching Protocols";
        assert_eq!(stranger.says(Kind::Accept, REQUESTS, head), Ok(()));
        let ResponseBody::WebSocket(socket) = stranger.body(REQUESTS as usize - 1) else {
            panic!("no WebSocket");
        };
        (stranger, socket)
    };
    // A character may be in two parts; a message has one kind.
    let (mut stranger, _socket): (_, WebSocket) = open();
    assert_eq!(stranger.says(text(true), REQUESTS, b"\xc3"), Ok(()));
    assert_eq!(stranger.says(text(false), REQUESTS, b"\xa4"), Ok(()));
    assert_eq!(
        stranger.says(text(false), REQUESTS, b"\xc3"),
        Err(Violation)
    );
    assert_eq!(stranger.says(text(true), REQUESTS, b"a"), Ok(()));
    assert_eq!(stranger.says(bytes(false), REQUESTS, b"a"), Err(Violation));
    // Empty messages count, too.
    let (mut stranger, _socket) = open();
    let most = (0..).find(|_| stranger.says(bytes(false), REQUESTS, b"").is_err());
    assert_eq!(most, Some(RESPONSE_WINDOW / 64));
    // Credit only for what was sent.
    let (mut stranger, mut socket) = open();
    assert_eq!(
        stranger.says(Kind::Credit, REQUESTS, &[1, 0, 0, 0]),
        Err(Violation)
    );
    let message = crate::interface::WebSocketMessage::Text("hello".into());
    let mut context = Context::from_waker(Waker::noop());
    assert!(socket.poll_room(&mut context).is_ready());
    socket.deliver(message);
    let notes = stranger.notes.take();
    conversations::pass_on(&mut stranger.loops.pool, notes);
    assert_eq!(
        stranger.says(Kind::Credit, REQUESTS, &[69, 0, 0, 0]),
        Ok(())
    );
    assert_eq!(
        stranger.says(Kind::Credit, REQUESTS, &[1, 0, 0, 0]),
        Err(Violation)
    );
    // A WebSocket that no client has offered.
    let head = b"101 Switching Protocols";
    assert_eq!(stranger.says(Kind::Accept, 1, head), Err(Violation));
}

#[test]
fn what_no_worker_says_is_a_violation() {
    for (kind, number) in [
        (Kind::Block, 1),
        (Kind::End { truncated: false }, 1),
        (Kind::Close, 1),
        (Kind::Credit, 1),
        (Kind::Wake, 1),
        (Kind::Errors, 1),
        (ANSWER, 0),
        (ANSWER, REQUESTS + 1),
        (ANSWER, u32::MAX),
        (Kind::Done, REQUESTS + 1),
        // Its client waits for an answer.
        (Kind::Done, 1),
        (Kind::Lag, 0),
    ] {
        assert_eq!(
            Stranger::new().says(kind, number, b"200 OK"),
            Err(Violation),
            "{kind:?}"
        );
    }
    for first in [ANSWER, Kind::Head] {
        for second in [ANSWER, Kind::Head, Kind::File] {
            let mut stranger = Stranger::new();
            assert_eq!(stranger.says(first, 1, b"200 OK"), Ok(()));
            assert_eq!(stranger.says(second, 1, b"200 OK"), Err(Violation));
        }
    }
    // What ends a request ends it once.
    let mut stranger = Stranger::new();
    let last = Kind::Answer { last: true };
    assert_eq!(stranger.says(last, 1, b"200 OK"), Ok(()));
    assert_eq!(stranger.says(Kind::Done, 1, b""), Err(Violation));
}
