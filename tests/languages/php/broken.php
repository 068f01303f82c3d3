<?php

namespace App\Mail;

/** A letter that is being typed. */
class Letter extends Message
{
    const LIMIT = 10;

    public function to(Address $address)
    {
        $this->address = new Address(
        $this->send(

    /** Sends it. */
    public function send(): bool
    {
        return Mailer::send($this);
    }
}
