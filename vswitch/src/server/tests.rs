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
    socket.accept().await.unwrap();
    assert!(path.exists());
    drop((client, socket));
    assert!(!path.exists());
}

#[tokio::test]
async fn a_socket_whose_file_goes_is_made_again_with_its_folder() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().join("folder");
    let path = folder.join("s");
    let socket = Socket::bind(&path).await.unwrap();
    let accepted = async {
        for _ in 0..3 {
            socket.accept().await.unwrap();
        }
    };
    let clients = async {
        let queued = tokio::net::UnixStream::connect(&path).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        for removed in [true, false] {
            let made_again = async {
                while tokio::net::UnixStream::connect(&path).await.is_err() {
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
            };
            tokio::time::timeout(std::time::Duration::from_secs(10), made_again).await.unwrap();
            if removed {
                std::fs::remove_dir_all(&folder).unwrap();
            }
        }
        drop(queued);
    };
    tokio::join!(accepted, clients);
    socket.restored().await;
    drop(socket);
    assert!(folder.exists() && !path.exists());
}
