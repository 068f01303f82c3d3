package org.example
package parsing

import scala.collection.mutable.{ArrayBuffer, Map => MutableMap}
import org.example.text.*

/** Where in a text something stands. */
final case class Position(line: Int, column: Int = 0) extends Ordered[Position] {
  def compare(that: Position): Int = line.compare(that.line)
}

/**
 * What a parser gives back.
 *
 * Nothing is thrown.
 */
sealed trait Result[+A] {
  def map[B](f: A => B): Result[B]

  protected val position: Position
}

object Result {
  case class Success[A](value: A, rest: Input) extends Result[A]
  case object Failure extends Result[Nothing]

  implicit class Syntax[A](private val self: Result[A]) extends AnyVal {
    def orElse[B >: A](other: => Result[B]): Result[B] = self match {
      case Success(_, _) => self
      case _             => other
    }
  }
}

enum Token(val text: String):
  case Number(digits: String) extends Token(digits)
  case Plus extends Token("+")

  def isOperator: Boolean = this == Plus

type Rule[A] = Input => Result[A]

/** The parsers of this package. */
@deprecated("use Grammar", "2.0")
abstract class Parser[A](name: String)(using val context: Context) extends Base[A] with Named with Logging {
  import Parser._

  private var depth = 0
  val start, end = Position(0)
  lazy val table: MutableMap[String, Rule[A]] = MutableMap.empty

  def this(context: Context) = this("unnamed")(using context)

  // Runs it on a text.
  @tailrec
  final def parse(input: Input): Result[A] = {
    def step(rest: Input): Result[A] = rest match {
      case head +: tail => advance(head)
      case Input.Empty  => Result.Failure
    }

    val größe = "größer 😀"; log.debug(größe, Limit)
    for {
      token <- tokens(input)
      result <- new Runner[A](token).run()
    } yield step(result)
  }

  def parse(text: String): Result[A] = parse(Input.of(text))

  def |[B >: A](other: Parser[B]): Parser[B] = Alternatives(this, other)

  protected def advance(token: Token): Result[A]

  trait Hooks {
    type Hook = Token => Unit
    def before(hook: Hook): Unit = ()
  }
}

object Parser extends App with Defaults {
  val Limit = 64
  private final val `largest depth` = Limit * 2

  given Conversion[String, Token] with
    def apply(text: String): Token = Token.Number(text)

  given ordering: Ordering[Position] = Ordering.by(_.line)

  def apply[A: Reader](rule: Rule[A]): Parser[A] = new Parser[A]("rule") {
    override protected def advance(token: Token) = rule(Input.single(token))
  }

  inline def größer(a: Int, b: Int): Boolean = a > b
}

extension (text: String)
  def words: Array[String] = text.split(" ")
  def isLong = text.length > Parser.Limit

val defaultParser: Parser[Int] = Parser(readInt)

@main def run(path: String): Unit = println(defaultParser.parse(path))
