// SPDX-License-Identifier: MIT
//! The root folder that processes see: the host's files below, read-only; a tmpfs above; fresh system folders.

use std::fs::{self, OpenOptions};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{symlink, PermissionsExt};
use std::path::Path;

use crate::error::{Context, Error, Result};
use crate::sys;

/// Folders that start empty in every network.
pub const MASKED: [&str; 5] = ["/tmp", "/run", "/var/tmp", "/var/log", "/dev/shm"];
/// Where the agent keeps its own things; nodes have another /run and never see it.
pub const PRIVATE: &str = "/run/testbed";

/// Where the host's files come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A guest: hostfs reads the host's files.
    Hostfs,
    /// A namespace of the host's kernel; `user` where it is a user namespace.
    Bind { user: bool },
}

const NONE: libc::c_ulong = 0;

/// Build the root and move into it. `shares` are host folders to show although they are below a masked one.
///
/// Gives the host's root folder, where hostfs reads it.
pub fn enter(origin: Origin, shares: &[String]) -> Result<Option<OwnedFd>> {
    for share in shares {
        if !share.starts_with('/') || share.split('/').any(|part| part == "..") {
            return Err(Error::usage(format!("a share is an absolute path without '..', not '{share}'")));
        }
    }
    match origin {
        Origin::Hostfs => enter_guest(shares).map(Some),
        Origin::Bind { user } => enter_bind(user, shares).and_then(|()| crate::netns::lock_in()).map(|()| None),
    }
}

fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong, data: &str) -> Result<()> {
    sys::mount(source, target, kind, flags, data).context(|| format!("mounting {kind} {source} on {target}"))
}

fn make_dir(path: &str) -> Result<()> {
    fs::create_dir_all(path).context(|| format!("making the folder {path}"))
}

fn enter_guest(shares: &[String]) -> Result<OwnedFd> {
    mount("none", "/lower", "hostfs", libc::MS_RDONLY, "/")?;
    let lower = fs::File::open("/lower").context(|| "/lower")?;
    mount("upper", "/upper", "tmpfs", NONE, "mode=755")?;
    make_dir("/upper/files")?;
    make_dir("/upper/work")?;
    mount("root", "/root", "overlay", NONE, "lowerdir=/lower,upperdir=/upper/files,workdir=/upper/work")?;
    mount("dev", "/root/dev", "devtmpfs", NONE, "mode=755")?;
    mount("proc", "/root/proc", "proc", NONE, "")?;
    mount("sys", "/root/sys", "sysfs", NONE, "")?;
    finish_dev("/root")?;
    mask("/root")?;
    make_dir(&format!("/root{PRIVATE}/etc"))?;
    bind("/lower/etc", &format!("/root{PRIVATE}/etc"), NONE)?;
    sys::switch_root("/root").context(|| "changing to the new root")?;
    for share in needed(shares) {
        make_dir(share)?;
        mount("none", share, "hostfs", libc::MS_RDONLY, share)?;
    }
    Ok(lower.into())
}

/// The shares that would be hidden; the others are visible anyway.
fn needed(shares: &[String]) -> impl Iterator<Item = &str> {
    shares.iter().map(String::as_str).filter(|share| MASKED.iter().any(|m| Path::new(share).starts_with(m)))
}

/// Bind a folder, or all below it with MS_REC.
fn bind(from: &str, to: &str, flags: libc::c_ulong) -> Result<()> {
    mount(from, to, "", libc::MS_BIND | flags, "")
}

fn enter_bind(user: bool, shares: &[String]) -> Result<()> {
    const STAGE: &str = "/tmp";
    mount("none", "/", "", libc::MS_REC | libc::MS_PRIVATE, "")?;
    let table = fs::read_to_string("/proc/self/mountinfo").context(|| "/proc/self/mountinfo")?;
    // Opened before the stage covers the host's /tmp, and bound from there.
    let mut held = Vec::new();
    for share in needed(shares) {
        let folder = fs::File::open(share).context(|| format!("the share {share}"))?;
        held.push((share, folder));
    }
    mount("stage", STAGE, "tmpfs", NONE, "mode=755")?;
    for name in ["lower", "files", "work", "root", "empty"] {
        make_dir(&format!("{STAGE}/{name}"))?;
    }
    bind("/", &format!("{STAGE}/lower"), libc::MS_REC)?;
    let root = format!("{STAGE}/root");
    let lower = format!("{STAGE}/lower");
    let extra = if user { ",userxattr" } else { "" };
    let data = format!("lowerdir={lower},upperdir={STAGE}/files,workdir={STAGE}/work{extra}");
    if sys::mount("root", &root, "overlay", NONE, &data).is_err() {
        compose(&lower, STAGE, extra)?;
    } else {
        show_other_mounts(&table, &lower, &root)?;
    }
    mount("dev", &format!("{root}/dev"), "tmpfs", libc::MS_NOSUID, "mode=755")?;
    bind_devices(&lower, &root)?;
    mount("proc", &format!("{root}/proc"), "proc", NONE, "")?;
    if sys::mount("sys", &format!("{root}/sys"), "sysfs", NONE, "").is_err() {
        bind(&format!("{lower}/sys"), &format!("{root}/sys"), libc::MS_REC)?;
    }
    if !user {
        guard_switches(&root)?;
    }
    finish_dev(&root)?;
    mask(&root)?;
    make_dir(&format!("{root}{PRIVATE}/etc"))?;
    bind(&format!("{lower}/etc"), &format!("{root}{PRIVATE}/etc"), libc::MS_REC)?;
    lock(&format!("{root}{PRIVATE}/etc"))?;
    for (share, folder) in held {
        use std::os::fd::AsRawFd;
        let to = format!("{root}{share}");
        make_dir(&to)?;
        bind(&format!("/proc/self/fd/{}", folder.as_raw_fd()), &to, libc::MS_REC)?;
        lock(&to)?;
    }
    sys::switch_root(&root).context(|| "changing to the new root")
}

/// The switches of the whole machine, read-only: who is root here has the host's own uid 0 where root started us.
/// What belongs to a network namespace stays writable.
fn guard_switches(root: &str) -> Result<()> {
    for name in ["proc/sys", "proc/sysrq-trigger", "proc/irq", "proc/bus", "proc/fs", "sys"] {
        let path = format!("{root}/{name}");
        if Path::new(&path).exists() {
            bind(&path, &path, libc::MS_REC)?;
            lock(&path)?;
        }
    }
    let net = format!("{root}/proc/sys/net");
    bind(&net, &net, NONE)?;
    mount("none", &net, "", libc::MS_BIND | libc::MS_REMOUNT, "")
}

/// Make a bind mount and all mounts below it read-only; false where the kernel refuses (or is older than 5.12).
fn read_only(target: &str) -> bool {
    sys::read_only_tree(target).is_ok()
}

/// As `read_only`, and a mount that cannot be made so is taken away again.
fn lock(target: &str) -> Result<()> {
    if read_only(target) {
        return Ok(());
    }
    sys::umount_detach(target).context(|| format!("hiding {target}"))?;
    Err(Error::capability(format!("{target} cannot be made read-only (mount_setattr, Linux 5.12 or later)")))
}

/// True for places that get something of our own.
fn is_ours(path: &str) -> bool {
    ["/proc", "/sys", "/dev"].iter().chain(&MASKED).any(|m| Path::new(path).starts_with(m))
}

/// The overlay shows the root file system alone; put the other file systems of the host where they were, read-only.
fn show_other_mounts(table: &str, lower: &str, root: &str) -> Result<()> {
    for line in table.lines() {
        let Some(point) = line.split(' ').nth(4) else { continue };
        if point == "/" || point.contains('\\') || is_ours(point) {
            continue;
        }
        let to = format!("{root}{point}");
        if !Path::new(&to).exists() || sys::mount(&format!("{lower}{point}"), &to, "", libc::MS_BIND, "").is_err() {
            continue;
        }
        if !read_only(&to) {
            sys::umount_detach(&to).context(|| format!("hiding {point}, which cannot be made read-only"))?;
        }
    }
    Ok(())
}

/// A root of tmpfs with one overlay per top folder: for kernels that refuse an overlay over a root with locked mounts.
fn compose(lower: &str, stage: &str, extra: &str) -> Result<()> {
    let root = format!("{stage}/root");
    mount("root", &root, "tmpfs", NONE, "mode=755")?;
    for entry in fs::read_dir(lower).context(|| lower.to_owned())? {
        let entry = entry.context(|| lower.to_owned())?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let (from, to) = (format!("{lower}/{name}"), format!("{root}/{name}"));
        let kind = entry.file_type().context(|| from.clone())?;
        if kind.is_symlink() {
            let target = fs::read_link(&from).context(|| from.clone())?;
            symlink(target, &to).context(|| to.clone())?;
        } else if kind.is_dir() {
            make_dir(&to)?;
            if !is_ours(&format!("/{name}")) {
                show_folder(stage, &name, &from, &to, extra)?;
            }
        }
    }
    make_dir(&format!("{root}/tmp"))?;
    make_dir(&format!("{root}/run"))
}

fn show_folder(stage: &str, name: &str, from: &str, to: &str, extra: &str) -> Result<()> {
    let (files, work) = (format!("{stage}/files/{name}"), format!("{stage}/work/{name}"));
    make_dir(&files)?;
    make_dir(&work)?;
    let data = format!("lowerdir={from},upperdir={files},workdir={work}{extra}");
    if sys::mount("root", to, "overlay", NONE, &data).is_ok() {
        return Ok(());
    }
    if sys::mount(from, to, "", libc::MS_BIND | libc::MS_REC, "").is_ok() && !read_only(to) {
        sys::umount_detach(to).context(|| format!("hiding /{name}, which cannot be made read-only"))?;
    }
    Ok(())
}

/// The host's harmless devices, by bind mounts: device nodes cannot be made in a user namespace.
fn bind_devices(lower: &str, root: &str) -> Result<()> {
    make_dir(&format!("{root}/dev/net"))?;
    for name in ["null", "zero", "full", "random", "urandom", "tty", "net/tun"] {
        let (from, to) = (format!("{lower}/dev/{name}"), format!("{root}/dev/{name}"));
        if !Path::new(&from).exists() {
            continue;
        }
        OpenOptions::new().create(true).append(true).open(&to).context(|| to.clone())?;
        bind(&from, &to, NONE)?;
    }
    Ok(())
}

/// devpts, and the links that programs expect in /dev.
fn finish_dev(root: &str) -> Result<()> {
    make_dir(&format!("{root}/dev/pts"))?;
    make_dir(&format!("{root}/dev/shm"))?;
    if sys::mount("pts", &format!("{root}/dev/pts"), "devpts", NONE, "newinstance,ptmxmode=666,mode=620").is_ok() {
        let _ = fs::remove_file(format!("{root}/dev/ptmx"));
        link("pts/ptmx", &format!("{root}/dev/ptmx"))?;
    }
    for (name, target) in [
        ("fd", "/proc/self/fd"),
        ("stdin", "/proc/self/fd/0"),
        ("stdout", "/proc/self/fd/1"),
        ("stderr", "/proc/self/fd/2"),
    ] {
        link(target, &format!("{root}/dev/{name}"))?;
    }
    Ok(())
}

fn link(target: &str, at: &str) -> Result<()> {
    match symlink(target, at) {
        Err(e) if e.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        other => other.context(|| at.to_owned()),
    }
}

/// Empty folders where every network starts afresh.
fn mask(root: &str) -> Result<()> {
    for folder in MASKED {
        let path = format!("{root}{folder}");
        if Path::new(&path).is_dir() {
            let mode = if folder == "/run" || folder == "/var/log" { "mode=755" } else { "mode=1777" };
            mount("tmpfs", &path, "tmpfs", libc::MS_NOSUID | libc::MS_NODEV, mode)?;
        }
    }
    Ok(())
}

/// In a fresh mount namespace: a node's own /etc, /run, /tmp, /var/log and /sys.
///
/// `name` is the node's; `shares` are shown again below the node's own folders.
pub fn enter_node(name: &str, shares: &[String]) -> Result<()> {
    let store = format!("{PRIVATE}/{name}");
    make_dir(&format!("{store}/etc"))?;
    make_dir(&format!("{store}/work"))?;
    let etc = format!("lowerdir={PRIVATE}/etc,upperdir={store}/etc,workdir={store}/work");
    // Where overlays cannot be stacked any further, the nodes share one /etc.
    if sys::mount("etc", "/etc", "overlay", NONE, &etc).is_err() {
        let _ = sys::mount("etc", "/etc", "overlay", NONE, &format!("{etc},userxattr"));
    }
    let mut held = Vec::new();
    for share in needed(shares) {
        held.push((share, fs::File::open(share).context(|| format!("the share {share}"))?));
    }
    for (folder, mode) in [("/tmp", 0o1777), ("/var/log", 0o755), ("/run", 0o755)] {
        let own = format!("{store}{folder}");
        make_dir(&own)?;
        fs::set_permissions(&own, fs::Permissions::from_mode(mode)).context(|| own.clone())?;
        if Path::new(folder).is_dir() {
            bind(&own, folder, NONE)?;
        }
    }
    for (share, folder) in held {
        use std::os::fd::AsRawFd;
        if !["/tmp", "/var/log", "/run"].iter().any(|m| Path::new(share).starts_with(m)) {
            continue;
        }
        make_dir(share)?;
        bind(&format!("/proc/self/fd/{}", folder.as_raw_fd()), share, libc::MS_REC)?;
    }
    // A node's own view of /sys/class/net; where it is refused, the shared one stays.
    if sys::mount("sys", "/sys", "sysfs", NONE, "").is_err() {
        let _ = sys::mount("sys", "/sys", "sysfs", libc::MS_RDONLY, "");
    }
    Ok(())
}
