//! What comes from the other side where CGI's variables and heads are spoken: from web servers in front, and from programs.

use runner::interface::{Errors, RequestBody};
use runner::protocol::cgi::environ;
use runner::protocol::cgi::program_head::HeadReader;
use runner::protocol::uwsgi::request_packet::{HEAD, PacketVariables, packet, size_of_variables};

/// Reads a packet. What is read of it is written as the same bytes, and is a request or not.
pub(super) fn uwsgi(bytes: &[u8]) {
    let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() else {
        return;
    };
    let Ok(size) = size_of_variables(*head) else {
        return;
    };
    let Some(rest) = rest.get(..size) else { return };
    let Ok(variables) = PacketVariables::new(rest).collect::<Result<Vec<_>, _>>() else {
        return;
    };
    let written = packet(&variables).expect("no more than was read");
    assert_eq!(&written[HEAD..], rest);
    let request = environ::request(variables.into_iter(), RequestBody::Empty, Errors::Log);
    if let Ok(request) = request {
        assert!(!request.path_info.contains(&0));
        environ::variables(&request, |_, value| assert!(!value.contains(&0)));
    }
}

/// Reads a head, at once and in parts: both are the same.
pub(super) fn program_head(bytes: &[u8]) {
    let step = bytes
        .first()
        .map_or(1, |&first| 1 + usize::from(first % 16));
    let whole = HeadReader::default().push(bytes);
    let mut reader = HeadReader::default();
    let mut taken = 0;
    for part in bytes.chunks(step) {
        taken += part.len();
        match reader.push(part) {
            Ok(None) => {}
            Ok(Some((head, body))) => {
                let Ok(Some((same, all))) = &whole else {
                    panic!("{whole:?} of the whole");
                };
                assert_eq!(*same, head);
                assert_eq!(all[..], [&body[..], &bytes[taken..]].concat());
                assert!(head.status.as_u16() >= 200);
                return;
            }
            Err(malformed) => {
                assert_eq!(whole.as_ref().err(), Some(&malformed));
                assert!(!malformed.to_string().contains(char::is_control));
                return;
            }
        }
    }
    assert!(matches!(whole, Ok(None)));
    assert!(!reader.ended().to_string().contains(char::is_control));
}
