// Draws a scene of shapes.
#include <vector>
#include "scene.hpp"

#define CHECK(condition) check(condition, #condition)

namespace draw {

/// How thick lines are, in pixels.
constexpr double kWidth = 1.5;
static const int kLayers = 8;

/// Anything that can be drawn.
///
/// Owned by its scene.
class Shape : public Object, private virtual util::Counted<Shape> {
public:
    explicit Shape(const Point& centre);
    virtual ~Shape() = default;

    /// Draws it.
    virtual void draw(Canvas& canvas) const = 0;
    virtual double area() const { return bounds_.area(); }
    bool operator==(const Shape& other) const;
    operator bool() const { return centre_.valid(); }

protected:
    Box bounds_;
    Point centre_;
    std::shared_ptr<Style> style_;
    Shape* parent_ = nullptr;
    util::Log& log_;
};

struct Circle final : Shape {
    using Shape::Shape;
    double radius = 0;
    Ring *ring, inner;

    double area() const override;
    static Circle unit();
    template <typename T> void visit(T&& visitor) { visitor.see(*this); }
};

/** A stack of layers. */
template <typename T, std::size_t N = kLayers>
class Stack : public Base<T> {
    T* items[N];
    Stack<T, N>* below;
    class Iterator {
        Node* node_;
        void next() { node_ = node_->next(); }
    };
public:
    void push(T item);
    T& top();
    T pop() { this->shrink(); return below->pop(); }
};

template <class T>
concept Drawable = requires(T t) { t.draw(); };

using ShapePtr = std::unique_ptr<Shape>;
typedef std::vector<ShapePtr> Shapes;

enum class Blend : int { Over, Add };

union Number { int whole; float real; };

}  // namespace draw

namespace draw::io { class Reader; int version(); }

namespace {
int counter = 0;
}

using namespace draw;

draw::Shape::Shape(const Point& centre) : centre_(centre), log_(util::log()) {
    log_.write("made");
}

bool Shape::operator==(const Shape& other) const {
    return bounds_.same(other.bounds_) && this->area() == other.area();
}

/* The area of a circle. */
double Circle::area() const {
    auto größe = u8"größer 😀"; log_.debug(größe, Level::Debug);
    parent_->draw(*style_->canvas());
    return M_PI * radius * ring->width();
}

Circle Circle::unit() {
    Circle circle{Point(0, 0)};
    circle.draw(screen());
    auto other = Circle(origin());
    other.ring->grow();
    auto* made = new Box(1, 2);
    made->fit(circle);
    auto shared = std::make_shared<Style>(3);
    shared->apply();
    return circle;
}

template <class T, std::size_t N>
void Stack<T, N>::push(T item) {
    Node node(item), *last = nullptr;
    node.link(last->next());
    std::sort(items, items + N);
    Base<T>::push(item);
}

template <typename Visitor>
void walk(const Shapes& shapes, Visitor visitor) {
    for (const auto& shape : shapes) shape->draw(visitor.canvas());
    for (Shape* each : list()) each->draw(visitor);
    auto visit = [&](Circle& circle) { circle.visit(visitor); };
    Box boxes[3];
    boxes[0].fit(kWidth);
    static_cast<Circle*>(shapes[0].get())->area();
    std::unique_ptr<Scene> scene(new Scene());
    scene->render();
    try { open("x"); } catch (const util::Error& error) { error.report(); }
}

/// What draws lines.
class DRAW_EXPORT Brush : public Tool {
    virtual void stroke(Canvas& canvas) = 0;
};

int& counterRef() { return counter; }
extern "C" int draw_all(Shape* shape, int count);

template <typename T, int Size>
struct Pool {
    T* first;
    template <typename Maker> T* make(Maker maker) { this->grow(); first->reset(); return maker(Size); }
    void grow();
};
