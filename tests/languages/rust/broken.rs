use crate::shapes::Shape;

/// A circle that is being typed.
pub struct Circle {
    centre: Point,
    radius: f64,
}

impl Shape for Circle {
    fn area(&self) -> f64 {
        self.centre.
    }

    /// Moves it.
    fn shift(&mut self, by: Vector) {
        self.centre.add(by
    }
}

pub fn unit() -> Circle {
    Circle { centre: Point::origin(), radius: 1.0 }
}
