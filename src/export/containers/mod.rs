//! Containers: an image, and what runs it. The user in it has no rights, and its file system may be read-only.

pub(super) mod compose_file;
mod container;
pub(super) mod dockerfile;
pub(super) mod kubernetes_objects;
mod yaml_text;
