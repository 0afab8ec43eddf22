//! Bodies between applications and clients of every kind.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use proptest::prelude::{Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest};
use tokio::task::yield_now;

use crate::interface::backlog::{BacklogRoom, IN_MEMORY, ResponseAllowance};
use crate::interface::blocks::{BlockSender, Blocks, Depot, Gone, Truncated, lock};
use crate::interface::conversation::{CloseReason, Correspondent, WebSocketMessage};
use crate::interface::response_memory::{LEAST, ResponseMemory};
use crate::interface::{Connection, Request, RequestName};

const LARGEST: usize = 150_000;
const PATIENCE: Duration = Duration::from_secs(20);

/// A limit on the file of a body, with memory enough.
fn at_most(file: u64) -> ResponseAllowance {
    ResponseAllowance {
        file,
        is_short: false,
    }
}

/// Ends of a body for whose client nobody waits.
fn hurried(folder: &Path, limit: u64) -> (Arc<Depot>, BlockSender, Blocks) {
    hurried_in(folder, limit, usize::MAX)
}

/// The same with so much memory, in bytes.
fn hurried_in(folder: &Path, limit: u64, memory: usize) -> (Arc<Depot>, BlockSender, Blocks) {
    let mut depot = Depot::new(folder.to_owned(), limit);
    depot.limits.memory = Arc::new(ResponseMemory::new(memory));
    let depot = Arc::new(depot);
    let (sender, blocks) = Blocks::of(&depot, None);
    lock(&sender.0.backlog).waited = Duration::from_secs(3600);
    (depot, sender, blocks)
}

fn block(start: usize, length: usize) -> Bytes {
    (start..start + length)
        .map(|place| (place % 251) as u8)
        .collect()
}

async fn in_time<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(PATIENCE, future)
        .await
        .expect("nothing happened")
}

async fn rest(blocks: &mut Blocks) -> (Vec<u8>, Result<(), Truncated>) {
    let mut body = Vec::new();
    loop {
        match in_time(blocks.next()).await {
            Some(Ok(piece)) => body.extend_from_slice(&piece),
            Some(Err(truncated)) => return (body, Err(truncated)),
            None => return (body, Ok(())),
        }
    }
}

fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .build();
    runtime.unwrap().block_on(future)
}

/// What the client does before it takes a piece.
#[derive(Clone, Copy, Debug)]
enum SlowClient {
    Takes,
    /// Lets others go on so many times.
    Waits(u8),
    /// Waits until all is made, if that needs no client.
    WaitsForAll,
    /// The disk is full from now on.
    FillsTheDisk,
}

fn client() -> impl Strategy<Value = SlowClient> {
    prop_oneof![
        8 => Just(SlowClient::Takes),
        4 => any::<u8>().prop_map(SlowClient::Waits),
        1 => Just(SlowClient::WaitsForAll),
        1 => Just(SlowClient::FillsTheDisk),
    ]
}

proptest! {
    #![proptest_config(proptest::test_runner::Config::with_cases(64))]

    /// Whatever blocks there are, however they are taken, whatever becomes of the disk: the client gets them all, in
    /// order, little of it is ever in memory, and nothing is left.
    #[test]
    fn what_is_given_is_taken(
        sizes in proptest::collection::vec(prop_oneof![Just(0_usize), 0..300_usize, 0..LARGEST], 0..60),
        behaviour in proptest::collection::vec(client(), 1..30),
        limit in prop_oneof![Just(0_u64), Just(300_000), Just(u64::MAX)],
        has_folder in any::<bool>(),
        ends_well in any::<bool>(),
        memory in prop_oneof![Just(0_usize), Just(200_000), Just(usize::MAX)],
    ) {
        let folder = tempfile::tempdir().unwrap();
        let place = if has_folder { folder.path() } else { Path::new("/no/such/folder") };
        run(async {
            let (depot, sender, mut blocks) = hurried_in(place, limit, memory);
            let total: usize = sizes.iter().sum();
            let mut making = tokio::spawn(async move {
                let mut at = 0;
                for size in sizes {
                    sender.send(block(at, size)).await.unwrap();
                    at += size;
                }
                if ends_well {
                    sender.end();
                }
            });
            let mut needs_client = limit < u64::MAX || !has_folder;
            let mut behaviour = behaviour.iter().cycle();
            let mut body = Vec::new();
            let end = loop {
                match *behaviour.next().unwrap() {
                    SlowClient::Takes => {}
                    SlowClient::Waits(times) => for _ in 0..times { yield_now().await; },
                    SlowClient::WaitsForAll if !needs_client && !making.is_finished() => {
                        in_time(&mut making).await.unwrap();
                    }
                    SlowClient::WaitsForAll => {}
                    SlowClient::FillsTheDisk => {
                        needs_client = true;
                        lock(&blocks.delivery.backlog).unwritable = true;
                    }
                }
                {
                    let backlog = lock(&blocks.delivery.backlog);
                    let held = backlog.ready.length + backlog.waiting.length;
                    // Each queue may be exceeded by a block; a piece that could not be written comes back besides.
                    prop_assert!(held <= 2 * (IN_MEMORY + LARGEST) + LARGEST, "{held}");
                }
                match in_time(blocks.next()).await {
                    Some(Ok(piece)) => {
                        prop_assert!(!piece.is_empty());
                        body.extend_from_slice(&piece);
                    }
                    Some(Err(truncated)) => break Err(truncated),
                    None => break Ok(()),
                }
            };
            prop_assert_eq!(end.is_ok(), ends_well);
            prop_assert!(body == block(0, total));
            prop_assert_eq!(depot.delivering(), 0);
            prop_assert!(lock(&blocks.delivery.backlog).file.is_none());
            prop_assert_eq!(depot.limits.memory.held(), 0);
            Ok(())
        })?;
        prop_assert_eq!(folder.path().read_dir().unwrap().count(), 0);
    }

    /// Whenever a client leaves: the application is told, and nothing is kept for it.
    #[test]
    fn a_client_may_leave_at_any_point(
        sizes in proptest::collection::vec(0..LARGEST, 1..40),
        pieces in 0..40_usize,
        is_satisfied in any::<bool>(),
    ) {
        let folder = tempfile::tempdir().unwrap();
        run(async {
            let (depot, sender, mut blocks) = hurried(folder.path(), u64::MAX);
            let delivery = Arc::clone(&blocks.delivery);
            let making = tokio::spawn(async move {
                for size in sizes.into_iter().cycle() {
                    if sender.send(block(0, size.max(1))).await == Err(Gone) {
                        break;
                    }
                    yield_now().await;
                }
                in_time(sender.gone()).await;
            });
            for _ in 0..pieces {
                in_time(blocks.next()).await;
            }
            if is_satisfied {
                // Whatever comes then is too much.
                blocks.satisfied();
            } else {
                drop(blocks);
            }
            in_time(making).await.unwrap();
            while lock(&delivery.backlog).writing {
                yield_now().await;
            }
            let backlog = lock(&delivery.backlog);
            assert!(backlog.is_empty() && backlog.file.is_none(), "{backlog:?}");
            assert_eq!(depot.delivering(), 0);
            assert_eq!(depot.limits.memory.held(), 0);
        });
    }
}

#[tokio::test]
async fn what_is_made_waits_for_no_client_and_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let depot = Arc::new(Depot::new(folder.path().to_owned(), u64::MAX));
    let (sender, mut blocks) = Blocks::of(&depot, None);
    for at in 0..200 {
        in_time(sender.send(block(at * 40_000, 40_000)))
            .await
            .unwrap();
    }
    assert_eq!(depot.delivering(), 0);
    sender.end();
    assert_eq!(depot.delivering(), 1);
    assert_eq!(
        rest(&mut blocks).await,
        (block(0, 8_000_000).to_vec(), Ok(()))
    );
    assert_eq!(depot.delivering(), 0);
}

#[tokio::test]
async fn beyond_the_limit_the_application_waits() {
    let folder = tempfile::tempdir().unwrap();
    for (limit, most) in [
        (0, IN_MEMORY + LARGEST),
        (1_000_000, 1_000_000 + 2 * (IN_MEMORY + LARGEST)),
    ] {
        let (_, sender, mut blocks) = hurried(folder.path(), limit);
        let mut given = 0;
        loop {
            let (room, is_writing) = {
                let mut backlog = lock(&sender.0.backlog);
                (backlog.room(at_most(limit)), backlog.writing)
            };
            match room {
                BacklogRoom::Yes => {
                    in_time(sender.send(block(given, LARGEST))).await.unwrap();
                    given += LARGEST;
                    assert!(given <= most, "{given}");
                }
                BacklogRoom::Full(_) if is_writing => yield_now().await,
                BacklogRoom::Full(_) => break,
            }
        }
        assert!(given >= usize::try_from(limit).unwrap().max(IN_MEMORY));
        sender.end();
        assert_eq!(rest(&mut blocks).await, (block(0, given).to_vec(), Ok(())));
    }
}

/// Sends until the application would have to wait for its client, and returns how many bytes that took.
async fn fill(sender: &BlockSender) -> usize {
    lock(&sender.0.backlog).waited = Duration::from_secs(3600);
    let mut given = 0;
    loop {
        let (room, is_writing) = {
            let mut backlog = lock(&sender.0.backlog);
            (backlog.room(at_most(u64::MAX)), backlog.writing)
        };
        match room {
            BacklogRoom::Yes => {
                in_time(sender.send(block(given, LARGEST))).await.unwrap();
                given += LARGEST;
            }
            BacklogRoom::Full(_) if is_writing => yield_now().await,
            BacklogRoom::Full(_) => return given,
        }
    }
}

#[tokio::test]
async fn all_responses_together_store_no_more_than_their_limit() {
    const TOTAL: u64 = 1_000_000;
    let stored = |depot: &Depot| depot.limits.stored().used();
    let folder = tempfile::tempdir().unwrap();
    let depot = Arc::new(Depot::new(folder.path().to_owned(), u64::MAX).with_total(TOTAL));
    let (first, of_first) = Blocks::of(&depot, None);
    assert!(fill(&first).await > usize::try_from(TOTAL).unwrap());
    let used = stored(&depot);
    assert!((TOTAL / 2..=TOTAL).contains(&used), "{used}");
    let (second, mut of_second) = Blocks::of(&depot, None);
    let given = fill(&second).await;
    assert!(given <= 2 * (IN_MEMORY + LARGEST), "{given}");
    assert!(stored(&depot) <= TOTAL);
    // The client of the first has left: there is room again, also for the second once its client takes something.
    drop(of_first);
    assert!(stored(&depot) <= TOTAL - used);
    let sending = tokio::spawn(async move {
        in_time(second.send(block(given, LARGEST))).await.unwrap();
        second.end();
    });
    let body = rest(&mut of_second).await;
    assert_eq!(body, (block(0, given + LARGEST).to_vec(), Ok(())));
    in_time(sending).await.unwrap();
    drop(first);
    assert_eq!(stored(&depot), 0);
}

/// The request of a client with an address.
fn request_from(address: &str) -> RequestName {
    RequestName::of(&Request {
        connection: Arc::new(Connection {
            remote_addr: address.to_owned().into(),
            ..Connection::default()
        }),
        ..Request::default()
    })
}

#[tokio::test]
async fn a_client_that_takes_nothing_leaves_room_for_the_responses_of_others() {
    const TOTAL: u64 = 2_000_000;
    let folder = tempfile::tempdir().unwrap();
    let depot = Arc::new(Depot::new(folder.path().to_owned(), u64::MAX).with_total(TOTAL));
    let (greedy, other) = (request_from("192.0.2.1"), request_from("192.0.2.2"));
    let begun: Vec<_> = (0..20).map(|_| Blocks::of(&depot, Some(&greedy))).collect();
    for (sender, _) in &begun {
        fill(sender).await;
    }
    let used = depot.limits.stored().used();
    assert!(used <= TOTAL / 2, "{used}");
    let (sender, mut blocks) = Blocks::of(&depot, Some(&other));
    let given = fill(&sender).await;
    assert!(depot.limits.stored().used() >= used + TOTAL / 5, "{given}");
    sender.end();
    assert_eq!(rest(&mut blocks).await, (block(0, given).to_vec(), Ok(())));
    drop(begun);
    assert_eq!(depot.limits.stored().used(), 0);
}

/// Its worker has more to do.
#[tokio::test]
async fn a_client_that_takes_nothing_is_not_waited_for_while_requests_wait() {
    let folder = tempfile::tempdir().unwrap();
    let depot = Arc::new(Depot::new(folder.path().to_owned(), u64::MAX).with_total(1_000_000));
    let (sender, mut blocks) = Blocks::of(&depot, Some(&request_from("192.0.2.1")));
    fill(&sender).await;
    depot.note_waiting(1);
    in_time(sender.room()).await;
    assert_eq!(sender.push(block(0, 10)), Err(Gone));
    assert_eq!(rest(&mut blocks).await, (Vec::new(), Err(Truncated)));
    assert_eq!(depot.limits.stored().used(), 0);
}

/// However many clients do not read: the memory is used up once, and the rest is in files.
#[tokio::test]
async fn all_responses_together_have_no_more_memory_than_their_limit() {
    const MEMORY: usize = 1_000_000;
    const LENGTH: usize = 300_000;
    let folder = tempfile::tempdir().unwrap();
    let memory = Arc::new(ResponseMemory::new(MEMORY));
    let mut depot = Depot::new(folder.path().to_owned(), u64::MAX);
    depot.limits.memory = Arc::clone(&memory);
    let depot = Arc::new(depot);
    let mut bodies = Vec::new();
    for number in 0..50 {
        let (sender, blocks) = Blocks::of(&depot, None);
        let size = [LENGTH, 30_000][number % 2];
        for at in (0..LENGTH).step_by(size) {
            // Some applications do not ask whether there is room.
            match number % 3 {
                0 => sender.push(block(at, size)).unwrap(),
                _ => in_time(sender.send(block(at, size))).await.unwrap(),
            }
        }
        sender.end();
        bodies.push(blocks);
    }
    let is_writing = |bodies: &[Blocks]| {
        let mut bodies = bodies.iter();
        bodies.any(|blocks| lock(&blocks.delivery.backlog).writing)
    };
    while is_writing(&bodies) {
        yield_now().await;
    }
    let held = memory.held();
    // What was begun before the memory was used up, and a little of each.
    let most = MEMORY + 2 * LENGTH + 50 * 2 * LEAST;
    assert!((MEMORY..=most).contains(&held), "{held}");
    for mut blocks in bodies {
        let received = rest(&mut blocks).await;
        assert!(received == (block(0, LENGTH).to_vec(), Ok(())));
    }
    assert_eq!(memory.held(), 0);
}

/// Memory that its owner waits for.
#[derive(Clone)]
struct Owner(Arc<Vec<u8>>);

impl AsRef<[u8]> for Owner {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Owner {
    const SIZE: usize = IN_MEMORY / 6;

    fn new() -> Self {
        Self(Arc::new(vec![b'x'; Self::SIZE]))
    }

    /// How many blocks are in it.
    fn lent(&self) -> usize {
        Arc::strong_count(&self.0) - 1
    }

    fn lend(&self, sender: &BlockSender) -> Result<(), Gone> {
        sender.lend(Bytes::from_owner(self.clone()))
    }
}

#[derive(Default)]
struct TakenBytes(AtomicUsize);

impl Correspondent for TakenBytes {
    fn taken(&self, bytes: usize) {
        self.0.fetch_add(bytes, Ordering::Relaxed);
    }
    fn received(&self, _: WebSocketMessage) {}
    fn left(&self, _: Option<CloseReason>) {}
}

#[tokio::test]
async fn a_block_that_is_lent_counts_until_it_is_sent() {
    let client = Arc::new(TakenBytes::default());
    let (sender, mut blocks) =
        Blocks::with_credit(client.clone(), &Arc::new(Depot::new("".into(), 0)), None);
    blocks.pass_on();
    let owner = Owner::new();
    let mut pieces = Vec::new();
    for _ in 0..6 {
        owner.lend(&sender).unwrap();
        pieces.push(in_time(blocks.next()).await.unwrap().unwrap());
    }
    assert_eq!((sender.space(), owner.lent()), (0, 6));
    assert_eq!(client.0.load(Ordering::Relaxed), 0);
    // What is split off a piece keeps the whole.
    let end = pieces[0].split_off(1);
    pieces.remove(0);
    assert_eq!((sender.space(), owner.lent()), (0, 6));
    let room = tokio::spawn(async move {
        in_time(sender.room()).await;
        sender
    });
    yield_now().await;
    assert!(!room.is_finished());
    drop(end);
    let sender = in_time(room).await.unwrap();
    assert_eq!((sender.space(), owner.lent()), (Owner::SIZE, 5));
    assert_eq!(client.0.load(Ordering::Relaxed), Owner::SIZE);
    // Neither end has to be there when the last one is sent.
    owner.lend(&sender).unwrap();
    drop(blocks);
    assert_eq!((owner.lend(&sender), owner.lent()), (Err(Gone), 5));
    drop(sender);
    pieces.clear();
    assert_eq!(owner.lent(), 0);
}

/// Compressors look at what they get, and so do filters.
#[tokio::test]
async fn who_looks_at_a_block_gets_a_copy() {
    let (sender, mut blocks) = Blocks::channel();
    let owner = Owner::new();
    owner.lend(&sender).unwrap();
    assert_eq!(owner.lent(), 1);
    let piece = in_time(blocks.next()).await.unwrap().unwrap();
    assert_eq!((piece.len(), owner.lent()), (Owner::SIZE, 0));
    assert_eq!(sender.space(), IN_MEMORY);
}

#[tokio::test]
async fn a_slow_client_keeps_no_more_memory_of_others_than_fits_in_memory() {
    let folder = tempfile::tempdir().unwrap();
    let (_, sender, mut blocks) = hurried(folder.path(), u64::MAX);
    blocks.pass_on();
    let owner = Owner::new();
    for _ in 0..50 {
        in_time(sender.room()).await;
        owner.lend(&sender).unwrap();
        assert!(owner.lent() <= 6, "{}", owner.lent());
    }
    sender.end();
    let all = vec![b'x'; 50 * Owner::SIZE];
    assert!(rest(&mut blocks).await == (all, Ok(())));
    assert_eq!(owner.lent(), 0);
}
