//! Logs that are slow, full or not read.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::mpsc::{self, Receiver, Sender};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use proptest::prelude::{any, proptest};

use super::super::form::LogSubject;
use super::LogKind;
use super::{AT_ONCE, LineQueue, Output, ROOM};

const PATIENCE: Duration = Duration::from_secs(20);

/// A log that takes a write only when it is told to.
struct Slow {
    told: Receiver<()>,
    written: Arc<Mutex<Vec<u8>>>,
}

impl Write for Slow {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        // Once the other end is dropped, it takes everything.
        let _ = self.told.recv();
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn slow() -> (Arc<LineQueue>, Sender<()>, Arc<Mutex<Vec<u8>>>) {
    let queue = Arc::new(LineQueue::default());
    let (tell, told) = mpsc::channel();
    let written = Arc::default();
    let log = Slow {
        told,
        written: Arc::clone(&written),
    };
    let ours = Arc::clone(&queue);
    std::thread::spawn(move || ours.run(log));
    (queue, tell, written)
}

#[test]
fn a_log_that_is_not_read_blocks_no_writer_and_says_what_is_missing() {
    let (queue, tell, written) = slow();
    let line = |number| format!("{number:07}: {}\n", "x".repeat(90));
    let size = line(0).len();
    let all = 5 * ROOM / size;
    for number in 0..all {
        queue.put(line(number));
    }
    queue.finish(Duration::from_millis(1));
    // The log is read again.
    drop(tell);
    queue.finish(PATIENCE);
    queue.put("after\n".to_owned());
    queue.finish(PATIENCE);
    let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = written.lines().collect();
    let kept = lines.iter().take_while(|line| line.ends_with('x')).count();
    assert!(kept >= ROOM / size, "{kept}");
    for (number, written) in lines[..kept].iter().enumerate() {
        assert_eq!(*written, line(number).trim_end());
    }
    assert_eq!(lines.last(), Some(&"after"));
    let counts = lines[kept..lines.len() - 1].iter().map(|said| -> usize {
        let count = said
            .strip_prefix("runner: ")
            .unwrap()
            .split(' ')
            .next()
            .unwrap();
        assert!(
            said.ends_with("missing here: the log was not read"),
            "{said}"
        );
        count.parse().unwrap_or(1)
    });
    assert_eq!(kept + counts.sum::<usize>(), all);
}

#[test]
fn lines_that_clients_cause_are_counted_and_the_count_comes_by_itself() {
    let (queue, tell, written) = slow();
    drop(tell);
    for number in 0..1000 {
        queue.put_of(
            LogKind::Refused,
            LogSubject::default(),
            format!("refused {number}\n"),
        );
    }
    let started = std::time::Instant::now();
    let so_far = || String::from_utf8(written.lock().unwrap().clone()).unwrap();
    while so_far().lines().count() < 11 {
        assert!(started.elapsed() < PATIENCE, "{}", so_far());
        std::thread::yield_now();
    }
    let said = "runner: left out 990 more lines about requests that were refused\n";
    assert!(so_far().ends_with(said), "{}", so_far());
}

#[test]
fn who_can_wait_loses_nothing_and_leaves_room_for_others() {
    let (queue, tell, written) = slow();
    let line = |number| format!("{number:07}: {}\n", "x".repeat(90));
    let all = 3 * ROOM / line(0).len();
    let patient = Arc::clone(&queue);
    let waiting = std::thread::spawn(move || {
        (0..all).for_each(|number| patient.put_patiently(line(number), PATIENCE));
    });
    while queue.lock().size < ROOM / 2 - 200 {
        std::thread::yield_now();
    }
    queue.put("own\n".to_owned());
    assert!(queue.lock().lost == 0 && queue.lock().size < ROOM);
    // The log is read again.
    drop(tell);
    waiting.join().unwrap();
    queue.finish(PATIENCE);
    let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    let lines: Vec<&str> = written.lines().filter(|line| *line != "own").collect();
    assert_eq!(lines.len() + 1, written.lines().count());
    assert!(
        lines
            .iter()
            .copied()
            .eq((0..all).map(|number| line(number).trim_end().to_owned()))
    );
}

#[test]
fn at_the_end_the_counts_are_written() {
    let (queue, tell, written) = slow();
    drop(tell);
    for number in 0..15 {
        queue.put_of(
            LogKind::Closed,
            LogSubject::default(),
            format!("closed {number}\n"),
        );
    }
    queue.finish(PATIENCE);
    let written = String::from_utf8(written.lock().unwrap().clone()).unwrap();
    let said = "runner: left out 5 more lines about connections that were closed\n";
    assert!(written.ends_with(said), "{written}");
}

/// A disk that has room from time to time.
#[derive(Default)]
struct Disk {
    /// How many bytes it takes at each attempt.
    room: VecDeque<usize>,
    content: Vec<u8>,
}

impl Write for &mut Disk {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self.room.pop_front().map(|room| room.min(bytes.len())) {
            Some(0) => Err(ErrorKind::StorageFull.into()),
            Some(count) => {
                self.content.extend_from_slice(&bytes[..count]);
                Ok(count)
            }
            None => {
                self.content.extend_from_slice(bytes);
                Ok(bytes.len())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

proptest! {
    /// Whichever writes fail, each line is there whole, in its place, or counted where it is missing; the part that was
    /// written of a line that did not fit stands on a line of its own.
    #[test]
    fn every_line_is_written_or_counted(
        room in proptest::collection::vec(0_usize..200, 0..50),
        lengths in proptest::collection::vec(1_usize..300, 1..50),
        together in any::<bool>(),
    ) {
        let mut disk = Disk { room: room.into(), content: Vec::new() };
        let mut output = Output::new(&mut disk);
        let text = |number: usize, length| format!("{number:04}{}.\n", "x".repeat(length));
        let texts: VecDeque<String> =
            lengths.iter().enumerate().map(|(number, length)| text(number, *length)).collect();
        match together {
            true => output.write(&texts),
            false => texts.iter().for_each(|text| output.write(&VecDeque::from([text.clone()]))),
        }
        while output.is_behind() {
            output.catch_up();
        }
        let content = String::from_utf8(disk.content).unwrap();
        let mut number = 0;
        let mut torn = 0;
        for line in content.lines() {
            if let Some(missing) = line.strip_prefix("runner: ").filter(|_| line.ends_with("no storage space")) {
                let (count, _) = missing.split_once(' ').unwrap();
                number += count.parse().unwrap_or(1);
                torn = 0;
            } else if texts.get(number).is_some_and(|text| text.trim_end() == line) {
                number += 1;
            } else {
                torn += 1;
            }
        }
        assert_eq!(number, texts.len(), "{content}");
        assert_eq!(torn, 0, "{content}");
    }
}

#[test]
fn lines_are_written_as_many_at_once_as_pipes_keep_together() {
    struct Sizes(Vec<usize>);
    impl Write for &mut Sizes {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.push(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut sizes = Sizes(Vec::new());
    let texts = [100, 4000, 96, 1, 5000, 7, 7].map(|size| "x".repeat(size));
    Output::new(&mut sizes).write(&texts.into());
    assert_eq!(sizes.0, [100, AT_ONCE, 1, 5000, 14]);
}

/// A log that nobody reads holds up those who write to it once, and not for each line.
#[test]
fn waits_in_vain_are_not_repeated() {
    let queue = LineQueue::default();
    let line = format!("{}\n", "x".repeat(100_000));
    let patience = Duration::from_millis(200);
    let begun = std::time::Instant::now();
    for _ in 0..100 {
        queue.put_patiently(line.clone(), patience);
    }
    let took = begun.elapsed();
    assert!((patience..patience * 50).contains(&took), "{took:?}");
    assert!(queue.lock().lost > 0);
}
