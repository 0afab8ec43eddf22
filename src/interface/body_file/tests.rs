//! Files of bodies, with disks that are frozen.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::interface::body_file::{BodyFile, PIECE, Storage, created_and_removed, on_thread};

#[tokio::test]
async fn what_is_written_is_read_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let in_folder = BodyFile::in_folder(folder.path().to_owned()).await.unwrap();
    for file in [BodyFile::in_memory().unwrap(), in_folder] {
        let everything: Vec<u8> = (0..PIECE + 7).map(|n| (n % 251) as u8).collect();
        let (first, second) = everything.split_at(1000);
        file.write(1000, Bytes::copy_from_slice(second))
            .await
            .unwrap();
        file.write(0, Bytes::copy_from_slice(first)).await.unwrap();
        let piece = file.read(0, u64::MAX).await.unwrap();
        assert!(piece == everything[..PIECE as usize]);
        let rest = file.read(PIECE, u64::MAX).await.unwrap();
        assert!(rest == everything[PIECE as usize..]);
        assert_eq!(file.read(1, 2).await.unwrap(), everything[1..3]);
        let error = file.read(PIECE + 7, 1).await.unwrap_err();
        assert_eq!(error.to_string(), "it is shorter than it was");
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0);
}

#[tokio::test]
async fn a_frozen_disk_delays_only_the_tasks_that_use_it() {
    let (thaw, frozen) = std::sync::mpsc::channel::<()>();
    let frozen = Arc::new(Mutex::new(frozen));
    let wait = move || {
        let frozen = Arc::clone(&frozen);
        // Ends when the sender is dropped.
        let _ = frozen.lock().unwrap_or_else(PoisonError::into_inner).recv();
        Ok(())
    };
    // More than there are threads in all.
    let waiting: Vec<_> = (0..1000)
        .map(|_| tokio::spawn(on_thread(Storage::Ours, wait.clone())))
        .collect();
    let theirs = BodyFile::of_application(tempfile::tempfile().unwrap());
    theirs.write(0, Bytes::from_static(b"abc")).await.unwrap();
    assert_eq!(theirs.read(0, 3).await.unwrap(), "abc");
    drop(theirs);
    let other = tokio::task::spawn_blocking(|| 1 + 1).await;
    assert_eq!(other.unwrap(), 2);
    assert!(waiting.iter().all(|waiting| !waiting.is_finished()));
    // Tasks that are aborted meanwhile leave their threads waiting.
    waiting
        .iter()
        .step_by(2)
        .for_each(tokio::task::JoinHandle::abort);
    drop(thaw);
    for (number, waiting) in waiting.into_iter().enumerate() {
        assert_eq!(waiting.await.is_ok(), number % 2 == 1);
    }
}

#[test]
fn a_folder_without_unnamed_files_does_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let taken: Vec<PathBuf> = (0..3)
        .map(|number| {
            folder
                .path()
                .join(format!("runner-body-{}-{number}", std::process::id()))
        })
        .collect();
    for path in &taken {
        std::fs::write(path, "somebody else's").unwrap();
    }
    created_and_removed(folder.path()).unwrap();
    assert_eq!(folder.path().read_dir().unwrap().count(), taken.len());
}
