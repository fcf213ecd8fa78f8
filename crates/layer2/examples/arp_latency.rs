//! How long an ARP answer takes, beside the kernel's own responder on the same cable in the same run.
//!
//! `arp_latency [--rate PER_SECOND] [--count N] [--busy THREADS]`, as root; makes a network namespace of its own. Blocks of requests for
//! an address that the kernel has and for a vip alternate, so that both meet the same machine. `--busy` adds threads that only burn
//! CPU. The last line is for machines: `ratio_p50=... vip_p50_us=... vip_p99_us=... kernel_p50_us=... kernel_p99_us=... lost=...`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use ironlb_layer2::raw::{ArpSocket, FRAME_BUFFER};
use ironlb_layer2::{Config, Layer2, boottime};
use ironlb_layer2_proto::packet::arp::{Operation, Packet};
use ironlb_model::{InterfaceName, MacAddr};

const NIC: &str = "lan0";
const FAR_END: &str = "peer0";
const KERNEL: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
const VIP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 200);
const STATION: MacAddr = MacAddr([2, 0, 0, 0, 0, 0xc1]);
const STATION_IP: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 9);

/// Requests in a row to one responder.
const BLOCK: usize = 500;
/// An answer that takes longer counts as lost.
const PATIENCE: Duration = Duration::from_millis(50);
/// Set once this process is inside its namespace.
const INSIDE: &str = "IRONLB_ARP_LATENCY_INSIDE";

struct Arguments {
    rate: u32,
    count: usize,
    busy: usize,
}

impl Arguments {
    fn parse() -> Result<Self> {
        let mut parsed = Self { rate: 1_000, count: 5_000, busy: 0 };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let value = words.next().context("each option has a value")?;
            match word.as_str() {
                "--rate" => parsed.rate = value.parse().context("--rate")?,
                "--count" => parsed.count = value.parse().context("--count")?,
                "--busy" => parsed.busy = value.parse().context("--busy")?,
                _ => bail!("unknown option {word}"),
            }
        }
        ensure!(parsed.rate > 0, "--rate must not be zero");
        Ok(parsed)
    }
}

/// The latencies of one responder.
#[derive(Default)]
struct Sample {
    latencies: Vec<Duration>,
    lost: usize,
}

impl Sample {
    /// The latency in microseconds that this share of the answers did not exceed.
    fn percentile(&self, share: f64) -> f64 {
        let mut sorted = self.latencies.clone();
        sorted.sort();
        let last = sorted.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            clippy::cast_precision_loss,
            reason = "a place in a list of some thousands"
        )]
        let place = (last as f64 * share).round() as usize;
        sorted.get(place).map_or(f64::NAN, |latency| latency.as_secs_f64() * 1e6)
    }

    fn print(&self, who: &str) {
        println!(
            "{who:8} n={:<6} lost={:<4} p50={:8.1} us  p90={:8.1} us  p99={:8.1} us  max={:8.1} us",
            self.latencies.len(),
            self.lost,
            self.percentile(0.5),
            self.percentile(0.9),
            self.percentile(0.99),
            self.percentile(1.0),
        );
    }
}

fn main() -> Result<()> {
    let arguments = Arguments::parse()?;
    if std::env::var_os(INSIDE).is_none() {
        let program = std::env::current_exe()?;
        let error = Command::new("unshare")
            .args(["--net", "--"])
            .arg(program)
            .args(std::env::args_os().skip(1))
            .env(INSIDE, "1")
            .exec();
        bail!("cannot start unshare: {error}");
    }
    for words in [
        format!("link add dev {NIC} type veth peer name {FAR_END}"),
        format!("address add {KERNEL}/24 dev {NIC}"),
        format!("link set dev {NIC} up"),
        format!("link set dev {FAR_END} up"),
    ] {
        let status = Command::new("ip").args(words.split(' ')).status()?;
        ensure!(status.success(), "ip {words} (root is needed)");
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let (layer2, _observations) = runtime.block_on(Layer2::start(Config::default()))?;
    let vips = BTreeSet::from([IpAddr::V4(VIP)]);
    let desired = BTreeMap::from([(InterfaceName::from(NIC), vips)]);
    runtime.block_on(layer2.set(desired))?;
    let index =
        layer2.interfaces().borrow().by_name.get(&InterfaceName::from(FAR_END)).context("the far end is there")?.index;
    let socket = ArpSocket::open(index)?;

    let busy = Arc::new(AtomicBool::new(true));
    let burners: Vec<_> = (0..arguments.busy)
        .map(|_| {
            let busy = Arc::clone(&busy);
            std::thread::spawn(move || {
                while busy.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            })
        })
        .collect();

    let (mut kernel, mut vip) = (Sample::default(), Sample::default());
    let pause = Duration::from_secs(1) / arguments.rate;
    for _ in 0..arguments.count.div_ceil(BLOCK) {
        measure(&socket, KERNEL, pause, &mut kernel)?;
        measure(&socket, VIP, pause, &mut vip)?;
    }
    busy.store(false, Ordering::Relaxed);
    for burner in burners {
        let _ = burner.join();
    }

    println!(
        "{} requests a second, {} busy threads, {} cores",
        arguments.rate,
        arguments.busy,
        std::thread::available_parallelism()?
    );
    kernel.print("kernel");
    vip.print("ironlb");
    println!(
        "ratio_p50={:.2} vip_p50_us={:.1} vip_p99_us={:.1} kernel_p50_us={:.1} kernel_p99_us={:.1} lost={}",
        vip.percentile(0.5) / kernel.percentile(0.5),
        vip.percentile(0.5),
        vip.percentile(0.99),
        kernel.percentile(0.5),
        kernel.percentile(0.99),
        vip.lost,
    );
    Ok(())
}

/// Asks one block of questions at a steady rate and takes the time of each answer. Looks for the answer without sleeping, so that the
/// asker's own wake-up is not measured.
fn measure(socket: &ArpSocket, target_ip: Ipv4Addr, pause: Duration, sample: &mut Sample) -> Result<()> {
    let request = Packet {
        operation: Operation::REQUEST,
        sender_mac: STATION,
        sender_ip: STATION_IP,
        target_mac: MacAddr::ZERO,
        target_ip,
    }
    .frame_to(MacAddr::BROADCAST);
    let mut buffer = [0; FRAME_BUFFER];
    for _ in 0..BLOCK {
        while socket.receive(&mut buffer)?.is_some() {}
        let asked = boottime();
        socket.send(request.as_bytes())?;
        let latency = loop {
            let taken = boottime().since(asked);
            let answered = socket.receive(&mut buffer)?.is_some_and(|(bytes, _)| {
                Packet::parse_frame(bytes).is_ok_and(|(_, packet)| {
                    packet.operation == Operation::REPLY
                        && packet.sender_ip == target_ip
                        && packet.target_ip == STATION_IP
                })
            });
            if answered {
                break Some(boottime().since(asked));
            }
            if taken > PATIENCE {
                break None;
            }
        };
        match latency {
            Some(latency) => sample.latencies.push(latency),
            None => sample.lost += 1,
        }
        std::thread::sleep(pause.saturating_sub(boottime().since(asked)));
    }
    Ok(())
}
