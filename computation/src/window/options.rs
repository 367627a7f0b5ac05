//! How windows fire, as calls that builders share.

/// The calls that set a `strategy`, one for each of its fields.
macro_rules! strategy_options {
    () => {
        /// When panes fire. Default: on time, and then with every late record.
        pub fn trigger(mut self, trigger: $crate::window::Trigger) -> Self {
            self.strategy.trigger = trigger;
            self
        }

        /// What a pane holds of what earlier ones have told. Default: nothing (discarding).
        pub fn accumulation(mut self, accumulation: $crate::window::Accumulation) -> Self {
            self.strategy.accumulation = accumulation;
            self
        }

        /// How long after a window's end, by the watermark, it still takes records. Default 0.
        pub fn allowed_lateness(mut self, lateness: ::std::time::Duration) -> Self {
            self.strategy.allowed_lateness = lateness;
            self
        }

        /// The event time of panes. Default: the last moment of the window.
        pub fn timestamps(mut self, timestamps: $crate::window::TimestampCombiner) -> Self {
            self.strategy.timestamps = timestamps;
            self
        }

        /// What becomes of a window whose lateness is over. Default: a last pane if there is anything to tell.
        pub fn closing(mut self, closing: $crate::window::Closing) -> Self {
            self.strategy.closing = closing;
            self
        }

        /// What becomes of an empty pane on time. Default: it fires.
        pub fn on_time(mut self, on_time: $crate::window::OnTime) -> Self {
            self.strategy.on_time = on_time;
            self
        }
    };
}
pub(crate) use strategy_options;
