//! The state machines of triggers, pure: a trigger, its state, and what happens.
//!
//! They behave as those of Apache Beam's reference driver do, where a window fires once for one step of the
//! watermark. What a machine asks for is told by [`State::is_armed`] and [`Trigger::due_us`]; the timers
//! themselves are the operator's.

use super::Trigger;
use super::state::TriggerState as State;
use pelton_domain::EventTime;

/// The moment at which a trigger is asked.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Moment {
    /// The input low watermark.
    pub(in super::super) watermark: EventTime,
    /// The clock, microseconds.
    pub(in super::super) now_us: i64,
    /// The end of the window.
    pub(in super::super) end: EventTime,
}

impl Moment {
    fn is_over(&self) -> bool {
        self.watermark >= self.end
    }
}

impl Trigger {
    /// The state before the first record.
    pub(in super::super) fn fresh(&self) -> State {
        let fresh = |of: &Option<Box<Self>>| of.as_ref().map(|of| Box::new(of.fresh()));
        match self {
            Self::Default => State::Default { armed: false },
            Self::AfterWatermark { early, late } => {
                State::Watermark { armed: false, late: false, of: [fresh(early), fresh(late)] }
            }
            Self::AfterProcessingTime(_) => State::Due(None),
            Self::AfterCount(_) => State::Count(0),
            Self::AfterEach(of) => State::Each { at: 0, of: of.iter().map(Self::fresh).collect() },
            Self::AfterFirst(of) | Self::AfterAll(of) => {
                State::Parallel(of.iter().map(Self::fresh).collect())
            }
            Self::OrFinally(main, last) => State::Parallel(vec![main.fresh(), last.fresh()]),
            Self::Repeatedly(of) => State::Repeatedly(Box::new(of.fresh())),
            Self::Never => State::Never,
        }
    }

    /// Whether `state` is one of this trigger. What is stored may be another trigger's.
    pub(in super::super) fn fits(&self, state: &State) -> bool {
        let all = |of: &[Self], states: &[State]| {
            of.len() == states.len() && of.iter().zip(states).all(|(of, state)| of.fits(state))
        };
        let maybe = |of: &Option<Box<Self>>, state: &Option<Box<State>>| match (of, state) {
            (Some(of), Some(state)) => of.fits(state),
            (None, None) => true,
            _ => false,
        };
        match (self, state) {
            (Self::Default, State::Default { .. })
            | (Self::AfterProcessingTime(_), State::Due(_))
            | (Self::AfterCount(_), State::Count(_))
            | (Self::Never, State::Never) => true,
            (Self::AfterWatermark { early, late }, State::Watermark { of: [e, l], .. }) => {
                maybe(early, e) && maybe(late, l)
            }
            (Self::AfterEach(of), State::Each { of: states, .. })
            | (Self::AfterFirst(of) | Self::AfterAll(of), State::Parallel(states)) => all(of, states),
            (Self::OrFinally(main, last), State::Parallel(states)) => {
                matches!(&states[..], [a, b] if main.fits(a) && last.fits(b))
            }
            (Self::Repeatedly(of), State::Repeatedly(state)) => of.fits(state),
            _ => false,
        }
    }

    /// A record has come into the window.
    pub(in super::super) fn on_element(&self, state: &mut State, moment: &Moment) {
        match (self, state) {
            (Self::Default, State::Default { armed }) => *armed = true,
            (
                Self::AfterWatermark { early, late },
                State::Watermark { armed, late: is_late, of: [early_state, late_state] },
            ) => match (*is_late, late, late_state) {
                (true, Some(late), Some(state)) => late.on_element(state, moment),
                _ => {
                    *armed = true;
                    if let (Some(early), Some(state)) = (early, early_state) {
                        early.on_element(state, moment);
                    }
                }
            },
            (Self::AfterProcessingTime(delay), State::Due(due)) => {
                due.get_or_insert_with(|| delay.due_us(moment.now_us));
            }
            (Self::AfterCount(_), State::Count(count)) => *count = count.saturating_add(1),
            (Self::AfterEach(of), State::Each { at, of: states }) => {
                if let Some((trigger, state)) = current(of, states, *at) {
                    trigger.on_element(state, moment);
                }
            }
            (Self::Repeatedly(of), State::Repeatedly(state)) => of.on_element(state, moment),
            (parallel, State::Parallel(states)) => {
                for (part, state) in parallel.parts().into_iter().zip(states) {
                    part.on_element(state, moment);
                }
            }
            _ => {}
        }
    }

    /// Whether the window fires now. One that fires on time waits for its end no more.
    pub(in super::super) fn should_fire(&self, state: &mut State, moment: &Moment) -> bool {
        match (self, state) {
            (Self::Default, State::Default { armed }) => {
                *armed &= !moment.is_over();
                moment.is_over()
            }
            (
                Self::AfterWatermark { early, late },
                State::Watermark { armed, late: is_late, of: [early_state, late_state] },
            ) => match (*is_late, late, late_state) {
                (true, Some(late), Some(state)) => late.should_fire(state, moment),
                _ if moment.is_over() => {
                    *armed = false;
                    true
                }
                _ => match (early, early_state) {
                    (Some(early), Some(state)) => early.should_fire(state, moment),
                    _ => false,
                },
            },
            (Self::AfterProcessingTime(_), State::Due(due)) => due.is_some_and(|due| due <= moment.now_us),
            (Self::AfterCount(wanted), State::Count(count)) => *count >= *wanted,
            (Self::AfterEach(of), State::Each { at, of: states }) => {
                current(of, states, *at).is_some_and(|(trigger, state)| trigger.should_fire(state, moment))
            }
            (Self::Repeatedly(of), State::Repeatedly(state)) => of.should_fire(state, moment),
            (parallel, State::Parallel(states)) => {
                let mut parts = parallel.parts().into_iter().zip(states);
                match parallel {
                    Self::AfterAll(_) => parts.all(|(part, state)| part.should_fire(state, moment)),
                    _ => parts.any(|(part, state)| part.should_fire(state, moment)),
                }
            }
            _ => false,
        }
    }

    /// The window fires. Returns whether the trigger has finished.
    pub(in super::super) fn on_fire(&self, state: &mut State, moment: &Moment) -> bool {
        match (self, state) {
            (Self::AfterProcessingTime(_), State::Due(_)) | (Self::AfterCount(_), State::Count(_)) => true,
            (
                Self::AfterWatermark { early, late },
                State::Watermark { late: is_late, of: [early_state, late_state], .. },
            ) => match (*is_late, late, late_state) {
                (true, Some(late), Some(state)) => fire_again(late, state, moment),
                _ if moment.is_over() => {
                    *is_late = true;
                    late.is_none()
                }
                _ => {
                    if let (Some(early), Some(state)) = (early, early_state) {
                        fire_again(early, state, moment);
                    }
                    false
                }
            },
            (Self::AfterEach(of), State::Each { at, of: states }) => {
                let finished =
                    current(of, states, *at).is_some_and(|(trigger, state)| trigger.on_fire(state, moment));
                *at += u64::from(finished);
                *at >= of.len() as u64
            }
            (Self::Repeatedly(of), State::Repeatedly(state)) => fire_again(of, state, moment),
            (parallel, State::Parallel(states)) => {
                let finished = parallel.parts().into_iter().zip(states).filter_map(|(part, state)| {
                    part.should_fire(state, moment).then(|| part.on_fire(state, moment))
                });
                match parallel {
                    Self::AfterAll(_) => finished.fold(true, |all, one| all & one),
                    _ => finished.fold(false, |any, one| any | one),
                }
            }
            _ => false,
        }
    }

    /// It begins anew; what is armed stays so.
    fn reset(&self, state: &mut State) {
        match (self, state) {
            (Self::Default, State::Default { armed }) => *armed = false,
            (Self::AfterWatermark { early, late }, State::Watermark { late: is_late, of, .. }) => {
                *is_late &= late.is_none();
                let [early_state, late_state] = of;
                for (trigger, state) in [(early, early_state), (late, late_state)] {
                    if let (Some(trigger), Some(state)) = (trigger, state) {
                        trigger.reset(state);
                    }
                }
            }
            (_, State::Due(due)) => *due = None,
            (_, State::Count(count)) => *count = 0,
            (Self::AfterEach(of), State::Each { at, of: states }) => {
                *at = 0;
                of.iter().zip(states).for_each(|(part, state)| part.reset(state));
            }
            (Self::Repeatedly(of), State::Repeatedly(state)) => of.reset(state),
            (parallel, State::Parallel(states)) => {
                parallel.parts().into_iter().zip(states).for_each(|(part, state)| part.reset(state));
            }
            _ => {}
        }
    }

    /// When it is to be asked again by the clock, whatever else happens.
    pub(in super::super) fn due_us(&self, state: &State) -> Option<i64> {
        match (self, state) {
            (_, State::Due(due)) => *due,
            (Self::AfterWatermark { early, late }, State::Watermark { late: is_late, of: [e, l], .. }) => {
                let (trigger, state) = if *is_late { (late, l) } else { (early, e) };
                trigger.as_ref().zip(state.as_ref()).and_then(|(trigger, state)| trigger.due_us(state))
            }
            (Self::AfterEach(of), State::Each { at, of: states }) => {
                let at = usize::try_from(*at).ok()?;
                of.get(at).zip(states.get(at)).and_then(|(trigger, state)| trigger.due_us(state))
            }
            (Self::Repeatedly(of), State::Repeatedly(state)) => of.due_us(state),
            (parallel, State::Parallel(states)) => {
                let parts = parallel.parts().into_iter().zip(states);
                parts.filter_map(|(part, state)| part.due_us(state)).min()
            }
            _ => None,
        }
    }
}

/// The trigger of a sequence that it is at.
fn current<'a>(of: &'a [Trigger], states: &'a mut [State], at: u64) -> Option<(&'a Trigger, &'a mut State)> {
    let at = usize::try_from(at).ok()?;
    of.get(at).zip(states.get_mut(at))
}

/// Fires a trigger that begins anew when it has finished; so it never does.
fn fire_again(trigger: &Trigger, state: &mut State, moment: &Moment) -> bool {
    if trigger.on_fire(state, moment) {
        trigger.reset(state);
    }
    false
}

#[cfg(test)]
mod tests;
