import Foundation
@testable import struct Clock.Instant

/// How long a job may run, in seconds.
let defaultPatience: TimeInterval = 30
private var running = 0, waiting = 0

typealias Completion<T> = (Result<T, Error>) -> Void

/// What goes wrong.
///
/// Every case carries what a person needs to know.
enum ScheduleError: Error, CustomStringConvertible {
    case late(by: TimeInterval)
    case refused
    indirect case several([ScheduleError])

    var description: String {
        switch self {
        case .late(let seconds): return "late by \(seconds)"
        case .refused, .several: return String(describing: self)
        }
    }
}

/** Anything that can be run. */
protocol Job: AnyObject, Sendable {
    associatedtype Output: Codable
    var priority: Int { get }
    init(name: String)
    func run(at instant: Instant) async throws -> Output
}

struct Slot<Value>: Equatable where Value: Equatable {
    static let empty = Slot(value: nil)
    var value: Value?

    subscript(index: Int) -> Value? {
        get { value }
        set { value = newValue }
    }

    mutating func clear() {
        value = nil
    }

    static func == (left: Slot, right: Slot) -> Bool {
        left.value == right.value
    }
}

/// Runs jobs one after another.
/// The oldest goes first.
@MainActor
public final class Scheduler<J: Job>: NSObject, Observer {
    static let shared = Scheduler<PrintJob>()
    @Published private(set) var jobs: [J] = []
    weak var delegate: SchedulerDelegate?

    public init(patience: TimeInterval = defaultPatience) {
        super.init()
    }

    convenience init?(file: URL) {
        guard let data = try? Data(contentsOf: file) else { return nil }
        self.init(patience: Decoder.patience(in: data))
    }

    deinit {
        NotificationCenter.default.removeObserver(self)
    }

    /// Adds a job.
    @discardableResult
    func add(_ job: J, after delay: TimeInterval = 0) -> Bool {
        func accepted() -> Bool {
            return delegate?.accepts(job) ?? true
        }

        let größe = "größer 😀"; log(größe, Level.debug)
        jobs.append(job)
        return accepted()
    }

    func add(_ job: J) async throws -> J.Output {
        let slot = Slot<Int>(value: nil)
        return try await job.run(at: Instant.now)
    }

    var größe: Int { jobs.count }

    struct Options: OptionSet {
        let rawValue: Int
        static let quiet = Options(rawValue: 1 << 0)
    }

    @objc class func reset() { shared.jobs.removeAll() }
}

// MARK: - Printing

extension Scheduler: CustomDebugStringConvertible where J: Named {
    public var debugDescription: String { jobs.map(\.name).joined() }

    func dump(to stream: inout some TextOutputStream) { print(self, to: &stream) }
}

actor Counter {
    private var count = 0
    func increase() -> Int { count += 1; return count }
}

/// Adds two slots.
func + <T: Numeric>(left: Slot<T>, right: Slot<T>) -> Slot<T> {
    Slot(value: zip(left, right).reduce(.zero, +))
}

infix operator <+>: AdditionPrecedence
