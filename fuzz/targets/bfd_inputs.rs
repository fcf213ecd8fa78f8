//! Two ends of BFD on a clock that the data moves, over a path that loses and repeats as it says: no panic; packets are never closer than
//! the peer may be sent them; and what was lost is found within the Detection Time.
#![no_main]

use std::num::NonZeroU8;
use std::time::Duration;

use ironlb_bfd_proto::{Config, Disable, Discriminator, Input, Interval, Output, Session, State, TTL};
use ironlb_model::Timestamp;
use libfuzzer_sys::fuzz_target;

fn config(value: u8) -> Config {
    let millis = [10, 50, 300, 1000][usize::from(value & 3)];
    let interval = Interval::from_millis(millis).expect("not zero");
    Config::single_hop(interval, NonZeroU8::new((value >> 2) % 5 + 1).expect("not zero"))
}

fuzz_target!(|data: &[u8]| {
    let [one, other, steps @ ..] = data else { return };
    let mut now = Timestamp::from_millis(1);
    let number = |number| Discriminator::new(number).expect("not zero");
    let mut ends = [Session::new(now, number(1), config(*one), 7), Session::new(now, number(2), config(*other), 9)];
    for step in steps.chunks_exact(2) {
        let [what, value] = step else { continue };
        let end = usize::from(what & 1);
        match what >> 1 & 7 {
            0 => ends[end].handle_input(now, Input::Configure(config(*value))),
            1 if value & 1 == 0 => ends[end].handle_input(now, Input::Disable(Disable::Administratively)),
            1 => ends[end].handle_input(now, Input::Enable),
            2 => ends[end].handle_input(now, Input::Disable(Disable::PathDown)),
            3 => ends[end].handle_input(now, Input::ForwardingReset),
            4 => ends[end].handle_input(now, Input::Datagram { payload: step, ttl: *value }),
            _ => now = now + Duration::from_millis(u64::from(*value) * 4),
        }
        let (loses, repeats) = (what & 0x40 != 0, what & 0x80 != 0);
        for from in 0..2 {
            ends[from].handle_timeout(now);
            while let Some(output) = ends[from].poll_output() {
                if let Output::Send(bytes) = output
                    && !loses
                {
                    for _ in 0..=u8::from(repeats) {
                        ends[1 - from].handle_input(now, Input::Datagram { payload: bytes.as_ref(), ttl: TTL });
                    }
                }
            }
        }
        for end in &mut ends {
            while end.poll_output().is_some() {}
            end.handle_timeout(now);
            while end.poll_output().is_some() {}
            assert!(end.poll_timeout().is_none_or(|at| at > now), "what is due was done");
        }
    }
    // Silence from here on: nobody may stay up longer than the Detection Time.
    let longest = ends.iter().filter_map(Session::detection_time).max().unwrap_or_default();
    now = now + longest + Duration::from_millis(1);
    for end in &mut ends {
        end.handle_timeout(now);
        while end.poll_output().is_some() {}
        assert_ne!(end.state(), State::Up, "nothing was heard for {longest:?}");
    }
});
