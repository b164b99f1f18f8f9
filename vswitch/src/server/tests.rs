use vswitch_api::error::ErrorCode;

use super::{Socket, api_error};
use crate::control::ControlError;
use crate::host::{HostError, NetnsError};

#[test]
fn errors_become_answers_of_one_line_with_the_value() {
    let name = "-x".parse::<crate::control::name::Name>().unwrap_err();
    for (error, code, part) in [
        (ControlError::Name(name), ErrorCode::InvalidArgument, "-x"),
        (ControlError::NameTaken("web".into()), ErrorCode::Conflict, "web"),
        (ControlError::UnknownPort("web".into()), ErrorCode::NotFound, "web"),
        (ControlError::PortsMax(8191), ErrorCode::LimitReached, "8191"),
        (
            ControlError::Host(HostError::Netns(NetnsError::NoProcess(77))),
            ErrorCode::NotFound,
            "77",
        ),
        (
            ControlError::Host(HostError::Overlap {
                subnet: "10.99.0.0/16".parse().unwrap(),
                route: "10.0.0.0/8".parse().unwrap(),
                device: "tun0".into(),
            }),
            ErrorCode::Conflict,
            "tun0",
        ),
    ] {
        let answer = api_error(&error);
        assert_eq!(answer.code, code, "{answer}");
        assert!(answer.message.contains(part), "{answer}");
        assert!(!answer.message.contains('\n'));
    }
}

#[tokio::test]
async fn a_socket_that_is_given_up_keeps_its_file_and_its_clients() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("s");
    let parts = Socket::bind(&path).await.unwrap().into_parts().unwrap();
    let client = std::os::unix::net::UnixStream::connect(&path).unwrap();
    let socket = Socket::from_parts(parts).unwrap();
    socket.listener().accept().await.unwrap();
    assert!(path.exists());
    drop((client, socket));
    assert!(!path.exists());
}
