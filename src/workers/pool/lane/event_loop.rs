//! A lane of an ASGI worker: what its event loop has begun, whether the loop is blocked, and the time limits of its requests.
//!
//! While the worker has something to read, its loop is alive as long as it reads on. What it has not begun then goes to
//! other workers within milliseconds, as for WSGI. While it has requests without a response and nothing to read, it is sent
//! a **probe** now and then: a frame that it drops, since the frame has no token, and that it says to have read.

use std::time::{Duration, Instant};

use crate::interface::CloseReason;
use crate::protocol::worker::frame::LaneOrder;
use crate::workers::gateway_errors::GatewayErrors;
use crate::workers::id::LaneId;
use crate::workers::pending_request::{Losses, seconds};
use crate::workers::pool::checkup::{Checkup, Finding, GivenUp, TICK, is_over};
use crate::workers::pool::lane::begun_requests::{BegunRequest, BegunRequests, ResponseStage};
use crate::workers::pool::lane::{BLOCKED, Flow, Lane, Timing};
use crate::workers::pool::stall::HOLD;
use crate::workers::question::{Question, Reason};
use crate::workers::wire::Wire;

/// The longest and the shortest time between two probes.
const PROBES: [Duration; 2] = [Duration::from_secs(1), Duration::from_millis(50)];
/// A look at all requests that nothing asks for.
const SELDOM: Duration = Duration::from_secs(3600);
/// So many requests that were lost with their worker, or that a blocked loop has begun, are named one by one.
const NAMED: usize = 5;
/// So many requests of a worker that are given up at a stop have a line of their own.
const NAMED_AT_STOP: usize = 20;

/// Since when what does not end by itself is to end.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drain {
    pub(crate) since: Instant,
    /// The clients may come back at once.
    pub(crate) returns: bool,
    /// When responses have to end that would end by themselves, too, since all is to be over soon; `None` if there is no
    /// such time.
    pub(crate) all_by: Option<Instant>,
    /// The same for code for which no client waits.
    pub(crate) background_by: Option<Instant>,
}

impl Drain {
    /// Why WebSockets are closed.
    fn reason(self) -> CloseReason {
        CloseReason::of(match self.returns {
            true => CloseReason::RESTART,
            false => CloseReason::GOING_AWAY,
        })
    }
}

/// The payload of [`LaneOrder::Left`].
pub(crate) fn left_payload(reason: Option<&CloseReason>) -> Vec<u8> {
    let Some(CloseReason { code, text }) = reason else {
        return Vec::new();
    };
    [&code.to_le_bytes()[..], text.as_bytes()].concat()
}

/// Checks the time limits of the requests that the worker has begun, and whether its loop is blocked.
pub(crate) fn check<W: Wire>(
    lane: &mut Lane<W>,
    id: LaneId,
    errors: &mut GatewayErrors,
    checkup: &mut Checkup,
) -> Timing {
    let now = checkup.now;
    let limits = checkup.limits;
    let blocked = lane.blocked_for(now).is_some();
    if blocked && is_over(limits.request_timeout, lane.progress, now) {
        for (_, begun) in lane.running.iter_mut().flat_map(BegunRequests::iter_mut) {
            if begun.is_awaited() {
                errors.gateway_timeout(&mut begun.pending);
            }
        }
        tell(lane, id, Reason::BlockedTooLong, checkup);
        return Timing::Overdue;
    }
    let any_slow = look(lane, id, blocked, errors, checkup);
    let is_long = is_over(limits.request_slow, lane.progress, now);
    if blocked && (any_slow || is_long) && !lane.is_reported {
        lane.is_reported = true;
        tell(lane, id, Reason::Blocked, checkup);
    }
    probe(lane, id, checkup);
    next_check(lane, checkup);
    match lane.load() {
        0 => Timing::Quiet,
        _ => Timing::Running,
    }
}

/// Looks at the requests whose clients wait for a response. Returns whether one has become slow while the loop is
/// blocked.
fn look<W: Wire>(
    lane: &mut Lane<W>,
    id: LaneId,
    blocked: bool,
    errors: &mut GatewayErrors,
    checkup: &mut Checkup,
) -> bool {
    let now = checkup.now;
    let (timeout, slow) = (checkup.limits.request_timeout, checkup.limits.request_slow);
    let Some(running) = &mut lane.running else {
        return false;
    };
    if running.is_empty() {
        return false;
    }
    if let Some(at) = running.next_look.filter(|&at| now < at) {
        checkup.again_by(Some(at));
        return false;
    }
    let lingering = running.limits.lingering;
    // Those that are begun later have later limits than this.
    let soonest = [timeout, slow].into_iter().filter(|it| !it.is_zero()).min();
    let mut next = now + soonest.unwrap_or(SELDOM);
    let mut any_slow = false;
    let mut lingers = false;
    let mut overdue = Vec::new();
    for (number, begun) in running.iter_mut() {
        if let (Some(since), true) = (begun.dismissed, begun.pending.is_refused()) {
            lingers |= is_over(lingering, since, now);
            next = next.min((since + lingering).max(now + TICK));
        }
        if !begun.is_awaited() {
            continue;
        }
        if is_over(timeout, begun.since, now) {
            errors.gateway_timeout(&mut begun.pending);
            overdue.push(number);
            next = next.min(now + lingering);
            let reason = match blocked {
                true => Reason::Unheard,
                false => Reason::Cancelled,
            };
            ask(checkup, id, (number, begun), reason);
            continue;
        }
        if !timeout.is_zero() {
            next = next.min(begun.since + timeout);
        }
        if begun.pending.slow_since.is_none() && is_over(slow, begun.since, now) {
            begun.pending.slow_since = Some(begun.since);
            any_slow = true;
            if !blocked {
                ask(checkup, id, (number, begun), Reason::SlowTask);
            }
        } else if begun.pending.slow_since.is_none() && !slow.is_zero() {
            next = next.min(begun.since + slow);
        }
    }
    for number in overdue {
        running.dismiss(number, now);
    }
    if lingers && !running.is_clung_to {
        running.is_clung_to = true;
        checkup.found(Finding::Clinging(id.0));
    }
    running.next_look = Some(next);
    checkup.again_by(Some(next));
    any_slow
}

/// Sends a probe if it is time for one.
fn probe<W: Wire>(lane: &mut Lane<W>, id: LaneId, checkup: &mut Checkup) {
    let limits = checkup.limits;
    let limits = [limits.request_timeout, limits.request_slow];
    let Some(shortest) = limits.into_iter().filter(|it| !it.is_zero()).min() else {
        return;
    };
    let awaited = lane.running.as_ref().is_some_and(|it| it.counted() > 0);
    if !awaited || lane.in_flight.has_unread() || !lane.in_flight.has_room() {
        return;
    }
    let [longest, least] = PROBES;
    let due = lane.progress + (shortest / 4).clamp(least, longest);
    if checkup.now < due {
        return checkup.again_by(Some(due));
    }
    let number = lane.in_flight.send_probe();
    lane.link.probe(number);
    lane.progress = checkup.now;
    checkup.touched.push(id);
}

/// When to look at the lane again.
fn next_check<W: Wire>(lane: &Lane<W>, checkup: &mut Checkup) {
    let (now, since) = (checkup.now, lane.progress);
    if !lane.in_flight.has_unread() {
        return;
    }
    checkup.again_by(Some(match (lane.in_flight.load(), lane.flow) {
        // A probe.
        (0, _) => (since + BLOCKED).max(now + HOLD),
        (_, Flow::Steady) => (since + lane.patience.max(checkup.stall)).max(now + TICK),
        (_, Flow::Stuck) => (since + HOLD.max(lane.patience)).max(now + TICK),
        (_, Flow::Emptied) => now + HOLD,
    }));
}

/// Asks what does not end by itself to end, when its time is over. Returns whether nothing else is left, and it has had
/// the time to end.
pub(crate) fn drain<W: Wire>(
    lane: &mut Lane<W>,
    id: LaneId,
    drain: Drain,
    checkup: &mut Checkup,
) -> bool {
    let now = checkup.now;
    let Some(running) = &mut lane.running else {
        return false;
    };
    let limits = running.limits;
    let mut last = None;
    let mut all = !running.is_empty() && lane.in_flight.load() == 0;
    let mut dismissed = Vec::new();
    for (number, begun) in running.iter_mut() {
        if let Some(since) = begun.dismissed {
            last = last.max(Some(since));
            continue;
        }
        all = false;
        // A response that begins late has the same time.
        let since = begun.answered_at.map(|at| at.max(drain.since));
        let due = match &begun.stage {
            ResponseStage::Unanswered => None,
            ResponseStage::WebSocket(_) => since.map(|since| since + limits.drain),
            ResponseStage::Body(..) if begun.is_endless => since.map(|since| since + limits.drain),
            // A download is not broken off as long as there is time for it.
            ResponseStage::Body(..) => drain.all_by,
            // Code that runs after a response ends by itself, as a rule.
            ResponseStage::Complete => since.map(|since| since + limits.drain + limits.grace),
        };
        let Some(due) = due else {
            continue;
        };
        if now < due {
            checkup.again_by(Some(due));
            continue;
        }
        if matches!(begun.stage, ResponseStage::Body(Some(_), _)) && !begun.is_endless {
            if dismissed.len() < NAMED_AT_STOP {
                ask(checkup, id, (number, begun), Reason::BrokenOff);
            }
            // The client need not wait for the application to notice.
            begun.break_off();
        }
        dismissed.push(number);
        let reason = match &begun.stage {
            ResponseStage::WebSocket(conversation) => {
                let reason = drain.reason();
                if let Some(sender) = &conversation.sender {
                    sender.close(reason.clone());
                }
                Some(reason)
            }
            ResponseStage::Unanswered | ResponseStage::Body(..) | ResponseStage::Complete => None,
        };
        let payload = left_payload(reason.as_ref());
        lane.link.order(LaneOrder::Left, number, &payload);
        checkup.touched.push(id);
    }
    for number in dismissed {
        running.dismiss(number, now);
    }
    let over = last.map(|last| last + limits.grace).filter(|_| all);
    checkup.again_by(over.map(|over| over.max(now + TICK)));
    over.is_some_and(|over| now >= over)
}

/// Tells the worker of the clients that have left before they had a response. Returns whether there were any.
pub(crate) fn dismiss_unwanted<W: Wire>(lane: &mut Lane<W>, now: Instant) -> bool {
    let Some(running) = &mut lane.running else {
        return false;
    };
    let mut dismissed = Vec::new();
    for (number, begun) in running.iter() {
        let unwanted = matches!(begun.stage, ResponseStage::Unanswered)
            && !begun.pending.is_answered()
            && !begun.pending.is_wanted();
        if unwanted && begun.dismissed.is_none() {
            dismissed.push(number);
            let broken = begun.pending.offers_web_socket;
            let reason = broken.then(|| CloseReason::of(CloseReason::BROKEN));
            let payload = left_payload(reason.as_ref());
            lane.link.order(LaneOrder::Left, number, &payload);
        }
    }
    for &number in &dismissed {
        running.dismiss(number, now);
    }
    !dismissed.is_empty()
}

/// Whether the worker has begun requests, and no client waits for any of them.
pub(crate) fn is_in_background<W: Wire>(lane: &Lane<W>) -> bool {
    let running = lane.running.as_ref().filter(|it| !it.is_empty());
    lane.in_flight.load() == 0
        && running.is_some_and(|it| it.iter().all(|(_, begun)| !begun.has_client()))
}

/// Gives up what the worker has begun, because the time to stop is over. Returns how much that was.
pub(crate) fn give_up<W: Wire>(
    lane: &mut Lane<W>,
    id: LaneId,
    errors: &mut GatewayErrors,
    checkup: &mut Checkup,
) -> GivenUp {
    let mut given_up = GivenUp::default();
    for (number, begun) in lane.running.iter_mut().flat_map(BegunRequests::iter_mut) {
        let reason = match &mut begun.stage {
            ResponseStage::Unanswered if begun.pending.is_wanted() => {
                given_up.unanswered += 1;
                Reason::StoppedTask
            }
            ResponseStage::Body(sender @ Some(_), _) => {
                *sender = None;
                given_up.cut += 1;
                Reason::CutTask
            }
            ResponseStage::WebSocket(conversation) => {
                let Some(sender) = conversation.sender.take() else {
                    continue;
                };
                sender.close(CloseReason::of(CloseReason::GOING_AWAY));
                given_up.web_sockets += 1;
                Reason::StoppedWebSocket
            }
            ResponseStage::Unanswered | ResponseStage::Body(..) | ResponseStage::Complete => {
                continue;
            }
        };
        errors.gateway_timeout(&mut begun.pending);
        if given_up.all() <= NAMED_AT_STOP {
            ask(checkup, id, (number, begun), reason);
        }
    }
    given_up
}

/// Settles what a worker that is gone had begun. What became of the requests is added to `losses`, in words.
pub(crate) fn lose<W: Wire>(lane: &mut Lane<W>, errors: &mut GatewayErrors, losses: &mut Losses) {
    let Some(running) = &mut lane.running else {
        return;
    };
    let (mut named, mut web_sockets) = (0, 0);
    let (mut unanswered, mut cut) = (0, 0);
    for mut begun in running.take_all() {
        let about = &begun.pending.about;
        let loss = match &begun.stage {
            ResponseStage::Unanswered if begun.pending.is_wanted() => {
                unanswered += 1;
                format!("{about} is answered 502")
            }
            ResponseStage::Body(Some(_), _) => {
                cut += 1;
                format!("the answer to {about} is cut off")
            }
            ResponseStage::WebSocket(conversation) => {
                web_sockets += usize::from(conversation.sender.is_some());
                continue;
            }
            ResponseStage::Unanswered | ResponseStage::Body(..) | ResponseStage::Complete => {
                continue;
            }
        };
        if named < NAMED {
            named += 1;
            losses.add(about, loss);
        }
        errors.bad_gateway(&mut begun.pending);
    }
    if unanswered + cut > named {
        losses.texts.push(format!(
            "in all {unanswered} requests are answered 502, and {cut} answers are cut off"
        ));
    }
    if web_sockets == 1 {
        let text = "1 WebSocket is closed with code 1011";
        losses.texts.push(text.to_owned());
    } else if web_sockets > 0 {
        losses.texts.push(format!(
            "{web_sockets} WebSockets are closed with code 1011"
        ));
    }
}

/// Asks where a request is that the loop has begun.
fn ask(checkup: &mut Checkup, lane: LaneId, begun: (u32, &BegunRequest), reason: Reason) {
    let question = task_question(lane, begun, reason, checkup.now);
    checkup.found(Finding::Stuck(question));
}

fn task_question(
    lane: LaneId,
    (number, begun): (u32, &BegunRequest),
    reason: Reason,
    now: Instant,
) -> Question {
    Question {
        lane,
        number,
        thread: 0,
        about: begun.pending.about.clone(),
        age: now.saturating_duration_since(begun.since),
        reason,
        begun: String::new(),
    }
}

/// Asks for the stack of the loop's thread.
fn tell<W: Wire>(lane: &Lane<W>, id: LaneId, reason: Reason, checkup: &mut Checkup) {
    checkup.found(Finding::Stuck(loop_question(lane, id, reason, checkup.now)));
}

fn loop_question<W: Wire>(lane: &Lane<W>, id: LaneId, reason: Reason, now: Instant) -> Question {
    Question {
        lane: id,
        number: 0,
        thread: lane.link.thread(),
        about: lane.last.clone().unwrap_or_default(),
        age: lane.quiet(now),
        reason,
        begun: begun_in_words(lane, now),
    }
}

/// The requests that a loop has begun and not ended, those that it has begun last first: one of them blocks it, as a rule.
fn begun_in_words<W: Wire>(lane: &Lane<W>, now: Instant) -> String {
    let all: Vec<(u32, &BegunRequest)> =
        lane.running.iter().flat_map(BegunRequests::iter).collect();
    let named = all.iter().rev().take(NAMED).map(|(_, begun)| {
        let age = now.saturating_duration_since(begun.since);
        format!("{} ({})", begun.pending.about, seconds(age))
    });
    let mut words: Vec<String> = named.collect();
    if all.len() > NAMED {
        words.push(format!("and {} more", all.len() - NAMED));
    }
    words.join(", ")
}

/// Questions about all tasks, or about the thread if the loop cannot answer.
pub(crate) fn questions<W: Wire>(lane: &Lane<W>, id: LaneId, now: Instant) -> Vec<Question> {
    if lane.blocked_for(now).is_some() {
        return vec![loop_question(lane, id, Reason::AskedLoop, now)];
    }
    let all = lane.running.iter().flat_map(BegunRequests::iter);
    all.map(|begun| task_question(id, begun, Reason::AskedTask, now))
        .collect()
}
