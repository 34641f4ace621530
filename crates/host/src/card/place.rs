//! What kind of machine this is: operating system, virtual machine, container.

use serde::{Deserialize, Serialize};

use super::fact::{Fact, Roots, field, text};

/// The system around the processor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct System {
    /// The operating system's name and version: "Debian GNU/Linux 12 (bookworm)".
    pub os: Fact<String>,
    /// The kernel's release: "6.1.0-18-amd64".
    pub kernel: Fact<String>,
    /// The processor's architecture as the binary was built for it.
    pub arch: String,
    /// The kind of virtual machine, "KVM"; `Known(None)` on bare metal.
    pub machine: Fact<Option<String>>,
    /// The kind of container, "docker"; `None` where nothing tells of one.
    pub container: Option<String>,
}

impl System {
    /// Reads the system's facts from the kernel's files and from /etc/os-release.
    pub fn read(roots: &Roots) -> System {
        System {
            os: os(roots).into(),
            kernel: text(&roots.proc.join("sys/kernel/osrelease")).into(),
            arch: std::env::consts::ARCH.into(),
            machine: machine(roots).into(),
            container: container(roots),
        }
    }
}

fn os(roots: &Roots) -> Result<String, String> {
    let path = roots.etc.join("os-release");
    let release = text(&path)?;
    let name = release.lines().find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.map(|n| n.trim_matches('"').to_string()).ok_or_else(|| format!("{} tells no PRETTY_NAME", path.display()))
}

/// Words in the firmware's vendor and product names that give a virtual machine away.
const HYPERVISORS: &[(&str, &str)] = &[
    ("QEMU", "QEMU"),
    ("KVM", "KVM"),
    ("VMware", "VMware"),
    ("VirtualBox", "VirtualBox"),
    ("innotek", "VirtualBox"),
    ("Xen", "Xen"),
    ("Bochs", "Bochs"),
    ("Parallels", "Parallels"),
    ("Amazon EC2", "Amazon EC2"),
    ("Google Compute Engine", "Google Compute Engine"),
    ("Virtual Machine", "Hyper-V"),
    ("OpenStack", "OpenStack"),
];

fn machine(roots: &Roots) -> Result<Option<String>, String> {
    let info = text(&roots.proc.join("cpuinfo"))?;
    let flags = field(&info, "flags");
    let flagged = flags.map(|flags| flags.split_whitespace().any(|flag| flag == "hypervisor"));
    if flagged == Some(false) {
        return Ok(None);
    }
    let dmi = |file: &str| text(&roots.sys.join("class/dmi/id").join(file)).unwrap_or_default();
    let firmware = format!("{} {}", dmi("sys_vendor"), dmi("product_name"));
    let named = HYPERVISORS.iter().find(|(word, _)| firmware.contains(word)).map(|(_, name)| name.to_string());
    let kernel = text(&roots.proc.join("sys/kernel/osrelease")).unwrap_or_default().to_lowercase();
    match named {
        _ if kernel.contains("microsoft") => Ok(Some("WSL 2".into())),
        Some(name) => Ok(Some(name)),
        None if flagged == Some(true) => Ok(Some("an unnamed hypervisor".into())),
        // other architectures have no such flag, and a silent firmware proves nothing
        None => Err("this architecture does not tell".into()),
    }
}

/// Words in the first process's control groups that give a container away.
const CONTAINERS: &[&str] = &["docker", "kubepods", "podman", "lxc", "containerd"];

fn container(roots: &Roots) -> Option<String> {
    let groups = text(&roots.proc.join("1/cgroup")).unwrap_or_default();
    let mounts = text(&roots.proc.join("1/mountinfo")).unwrap_or_default();
    let root = mounts.lines().find(|line| line.split(' ').nth(4) == Some("/")).unwrap_or_default();
    CONTAINERS.iter().find(|word| groups.contains(**word) || root.contains(**word)).map(ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::super::fact::tests::Tree;
    use super::*;

    fn machine_of(files: &[(&str, &str)]) -> Fact<Option<String>> {
        System::read(&Tree::new(files).roots()).machine
    }

    #[test]
    fn tells_metal_from_virtual_machines_and_from_not_knowing() {
        assert_eq!(machine_of(&[("proc/cpuinfo", "flags\t: avx2\n")]), Fact::Known(None));
        let virtual_cpu = ("proc/cpuinfo", "flags\t: avx2 hypervisor\n");
        assert_eq!(machine_of(&[virtual_cpu]), Fact::Known(Some("an unnamed hypervisor".into())));
        assert_eq!(
            machine_of(&[virtual_cpu, ("sys/class/dmi/id/sys_vendor", "QEMU\n")]),
            Fact::Known(Some("QEMU".into()))
        );
        let wsl = ("proc/sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n");
        assert_eq!(machine_of(&[virtual_cpu, wsl]), Fact::Known(Some("WSL 2".into())));
        assert!(machine_of(&[("proc/cpuinfo", "Features\t: asimd\n")]).known().is_none());
    }

    #[test]
    fn names_the_system_and_the_container() {
        let tree = Tree::new(&[
            ("etc/os-release", "NAME=\"Debian\"\nPRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"\n"),
            ("proc/sys/kernel/osrelease", "6.1.0-18-amd64\n"),
            ("proc/1/cgroup", "0::/\n"),
            ("proc/1/mountinfo", "1 2 0:5 / / rw - overlay overlay rw,lowerdir=/var/lib/docker/overlay2/l/A\n"),
        ]);
        let system = System::read(&tree.roots());
        assert_eq!(system.os, Fact::Known("Debian GNU/Linux 12 (bookworm)".into()));
        assert_eq!(system.kernel, Fact::Known("6.1.0-18-amd64".into()));
        assert_eq!(system.container, Some("docker".into()));
    }
}
